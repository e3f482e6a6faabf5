// Header edits: lists of fields to add, overwrite and remove, compiled once; values may hold the
// operators of the access log. Immutable after Build: any thread; they run on the exchange's
// worker.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <google/protobuf/repeated_ptr_field.h>

#include "api/envoy/config/common/mutation_rules/v3/mutation_rules.pb.h"
#include "api/envoy/config/core/v3/base.pb.h"
#include "source/config/diagnostics.h"
#include "source/http/headers.h"
#include "source/observe/format/formatter.h"

namespace sluice {

class HeaderEdits {
 public:
  using Options = google::protobuf::RepeatedPtrField<envoy::config::core::v3::HeaderValueOption>;
  using Names = google::protobuf::RepeatedPtrField<std::string>;
  using Mutations =
      google::protobuf::RepeatedPtrField<envoy::config::common::mutation_rules::v3::HeaderMutation>;

  HeaderEdits() = default;

  /// As Envoy does for routes: removals first, then what overwrites, then additions, all of whose
  /// values and conditions are those of the headers after the removals. Problems are reported at
  /// `<path>.<add_field>[i]` and
  /// `<path>.<remove_field>[i]`: names that are no token, begin with ':' or are host; values with
  /// control bytes; bad operators.
  static HeaderEdits Build(const Options& add, const Names& remove, std::string_view path,
                           std::string_view add_field, std::string_view remove_field,
                           config::Diagnostics& diagnostics);
  /// In the order of the list. Problems are reported at `<path>[i].append` and `<path>[i].remove`.
  static HeaderEdits Build(const Mutations& mutations, std::string_view path,
                           config::Diagnostics& diagnostics);

  bool empty() const { return edits_.empty(); }

  /// Applies them. Constant values are not copied: this object outlives the head. Values
  /// with operators read `exchange` as it is now.
  void Apply(Headers& headers, const Exchange& exchange) const;
  /// The same on a response that the client may get; values may ask for what it holds (%RESP(X)%).
  void Apply(ResponseHead& response, Exchange& exchange) const;

 private:
  enum class Action : uint8_t { kRemove, kAppend, kAddIfAbsent, kOverwrite, kOverwriteIfExists };
  struct Edit {
    Action action;
    bool keep_empty;
    std::string name;  // in lower case
    HeaderId id;
    std::string value;  // when there is no formatter
    std::optional<Formatter> formatter;
    bool is_safe = false;  // the value is constant and needs no look when it is written
  };

  void Add(const envoy::config::core::v3::HeaderValueOption& option, const std::string& path,
           config::Diagnostics& diagnostics);
  // Whether the order of the edits can be told from their result.
  bool IsOrdered() const;
  static bool IsDue(const Edit& edit, std::string_view value, const Headers& headers);
  static void Write(const Edit& edit, std::string_view value, Headers& headers);
  void ApplyAtOnce(Headers& headers, const Exchange& exchange) const;
  void AddRemoval(std::string_view name, const std::string& path, config::Diagnostics& diagnostics);

  std::vector<Edit> edits_;
  bool at_once_ = false;  // every edit sees the headers before the others
};

/// True when `value` holds no CR, LF or NUL.
bool IsHeaderValue(std::string_view value);

}  // namespace sluice
