// The names of all operators, and what each takes. Immutable, any thread.
#include "source/observe/format/operators.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "source/base/strings.h"

namespace sluice::format_internal {
namespace {

// What Envoy has and we cannot fill yet: refused at load by name, so that nobody wonders about an
// empty column.
constexpr std::string_view kNotSupportedYet[] = {
    "CEL",
    "TYPED_CEL",
};

std::array<absl::Span<const OperatorType>, 7> AllOperators() {
  return {ExchangeOperators(), ContextOperators(), MetadataOperators(), AddressOperators(),
          TimeOperators(),     ChoiceOperators(),  AbsentOperators()};
}

const OperatorType* FindType(std::string_view name) {
  for (const auto& list : AllOperators()) {
    for (const OperatorType& type : list) {
      if (type.name == name) {
        return &type;
      }
    }
  }
  return nullptr;
}

// Levenshtein's distance.
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) {
    row[j] = j;
  }
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

// " (did you mean %X%?)" if something is near enough.
std::string Suggestion(std::string_view name) {
  size_t best = 4;
  std::string_view nearest;
  for (const auto& list : AllOperators()) {
    for (const OperatorType& type : list) {
      const size_t distance = Distance(name, type.name);
      if (distance < best && distance * 2 < type.name.size()) {
        best = distance;
        nearest = type.name;
      }
    }
  }
  return nearest.empty() ? "" : Cat(" (did you mean %", nearest, "%?)");
}

}  // namespace

absl::StatusOr<Operator> CompileOperator(std::string_view name, const std::string_view* argument,
                                         int length) {
  const OperatorType* type = FindType(name);
  if (type == nullptr) {
    if (std::find(std::begin(kNotSupportedYet), std::end(kNotSupportedYet), name) !=
        std::end(kNotSupportedYet)) {
      return Invalid("known, not supported yet");
    }
    return Invalid("unknown operator", Suggestion(name));
  }
  if (length >= 0 && !type->has_length) {
    return Invalid("takes no length");
  }
  Operator op;
  op.render = type->render;
  op.max_length = length;
  if (type->compile == nullptr) {
    if (argument != nullptr && !argument->empty()) {
      return Invalid("takes no argument");
    }
    return op;
  }
  if (const absl::Status status = type->compile(argument, &op); !status.ok()) {
    return status;
  }
  return op;
}

Rendered AppendNumber(uint64_t value, std::string* out) {
  char digits[20];
  const char* const end = std::to_chars(digits, digits + sizeof(digits), value).ptr;
  out->append(digits, static_cast<size_t>(end - digits));
  return Rendered::kNumber;
}

Rendered AppendText(std::string_view value, std::string* out) {
  out->append(value);
  return value.empty() ? Rendered::kMissing : Rendered::kString;
}

}  // namespace sluice::format_internal
