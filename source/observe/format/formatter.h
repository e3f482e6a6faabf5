// Formatter: a format string or JSON template with Envoy's command operators (%REQ(X)%, %DURATION%,
// ...), compiled once into a flat list and rendered per request. Immutable after creation: any
// thread; it reads the exchange on its worker's thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "source/http/exchange.h"

namespace google::protobuf {
class Struct;
}

namespace sluice {

namespace format_internal {
struct Operator;
}

/// Envoy's format of an access log that names none. It ends with a newline.
extern const std::string_view kDefaultLogFormat;

/// %DURATION%: from the request's first byte to the response's last, or until now while it is not
/// sent or a tunnel runs. Zero when nothing was received.
Duration TotalDuration(const Exchange& exchange);

/// The status of a gRPC call: what the trailers say, else the head, else what the HTTP status means
/// to gRPC. Nothing when there was no response, or a field without a number.
std::optional<uint64_t> GrpcStatusOf(const Exchange& exchange);

class Formatter {
 public:
  /// What must not get from a peer's bytes into the text.
  enum class Escaping {
    kLogLine,      // control bytes, quotes and backslashes are written as in JSON: a client cannot
                   // forge a line or a field
    kHeaderValue,  // control bytes only
    kNone,         // bodies
  };
  struct Options {
    bool omit_empty_values =
        false;  // text: nothing instead of "-"; JSON: the key is left out instead of null
    Escaping escaping = Escaping::kLogLine;
  };

  /// A format string: operators are `%NAME%`, `%NAME(ARGUMENT)%`, `%NAME(ARGUMENT):LENGTH%`; `%%`
  /// is a percent sign. InvalidArgument names the position and the operator.
  static absl::StatusOr<Formatter> FromText(std::string_view format, Options options);
  static absl::StatusOr<Formatter> FromText(std::string_view format) {
    return FromText(format, Options());
  }

  /// A JSON object whose strings are format strings. A string that is one operator keeps its type
  /// (numbers stay numbers, what is missing is null). Keys are written in alphabetical order,
  /// without a newline at the end. InvalidArgument as above, with the path of the key.
  static absl::StatusOr<Formatter> FromJson(const google::protobuf::Struct& format,
                                            Options options);
  static absl::StatusOr<Formatter> FromJson(const google::protobuf::Struct& format) {
    return FromJson(format, Options());
  }

  Formatter(Formatter&&) noexcept;
  Formatter& operator=(Formatter&&) noexcept;
  ~Formatter();

  /// Appends the text. Allocates only what `out` needs to grow (and for metadata, escapes of
  /// hostile bytes, Unix paths).
  void Format(const LogContext& context, std::string* out) const;

  bool is_json() const { return is_json_; }

 private:
  Formatter();

  std::vector<format_internal::Operator> operators_;
  Options options_;
  bool is_json_ = false;
};

}  // namespace sluice
