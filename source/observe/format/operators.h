// The parts of a compiled format: what one operator needs to render itself, and the table of their
// names. Private to formatter.cc and operators*.cc. Immutable after creation, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "source/http/exchange.h"

namespace sluice::format_internal {

/// What Render appended, so that JSON can keep its type.
enum class Rendered : uint8_t {
  kMissing,  // nothing was appended
  kString,
  kNumber,  // or true, false
  kJson,    // an object, array or null as JSON
};

/// A stretch of a time format.
struct TimePiece {
  enum class Kind : uint8_t { kStrftime, kFraction, kEpochSeconds } kind;
  std::string format;  // kStrftime
  int digits = 0;      // kFraction
};

struct Operator {
  using Render = Rendered (*)(const Operator&, const LogContext&, std::string*);
  enum class Mode : uint8_t {
    kLiteral,       // `text` as it is
    kText,          // the value, escaped as the formatter's options say; "-" when missing
    kJsonKey,       // a comma unless it is the first in its object or array, then `text`
    kJsonOpen,      // an object begins that leaves with its key if it stays empty
    kJsonClose,     // it ends
    kJsonValue,     // the value with its JSON type
    kJsonFragment,  // the value within a JSON string
  };

  Mode mode = Mode::kLiteral;
  Render render = nullptr;
  std::string text;         // the literal or the main argument
  std::string alternative;  // header to take when the first is missing
  HeaderId id = HeaderId::kOther;
  HeaderId alternative_id = HeaderId::kOther;
  int max_length = -1;
  int option = 0;  // what the operator makes of it: prefix length, precision, ...
  int option2 = 0;
  std::vector<std::string> path;  // keys into metadata
  std::vector<TimePiece> time;
  std::vector<Operator> choices;  // of COALESCE
};

/// Sets `op`'s arguments. `argument` is null where there are no parentheses.
using Compile = absl::Status (*)(const std::string_view* argument, Operator* op);

struct OperatorType {
  std::string_view name;
  Compile compile;  // null: takes no argument
  Operator::Render render;
  bool has_length;  // `:LENGTH` is allowed
};

absl::Span<const OperatorType> ExchangeOperators();  // operators_exchange.cc
absl::Span<const OperatorType> ContextOperators();   // operators_context.cc
absl::Span<const OperatorType> MetadataOperators();  // operators_metadata.cc
absl::Span<const OperatorType> AddressOperators();   // operators_address.cc
absl::Span<const OperatorType> TimeOperators();      // operators_time.cc
absl::Span<const OperatorType> ChoiceOperators();    // operators_choice.cc
absl::Span<const OperatorType> AbsentOperators();    // operators_absent.cc

/// Compiles `name`, which stands in a format with `argument` (null: none) and `length` (-1: none).
/// InvalidArgument says what is wrong with it: unknown (with a suggestion), known to Envoy but not
/// supported yet, wrong argument.
absl::StatusOr<Operator> CompileOperator(std::string_view name, const std::string_view* argument,
                                         int length);

// For the tables.
Rendered AppendNumber(uint64_t value, std::string* out);
Rendered AppendText(std::string_view value, std::string* out);  // missing when empty

}  // namespace sluice::format_internal
