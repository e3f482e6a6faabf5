// Match: the matchers of strings, header fields and query parameters that routes, access-log
// filters and extensions share. Immutable after Build: any thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <re2/re2.h>

#include "absl/status/statusor.h"
#include "api/envoy/config/route/v3/route_components.pb.h"
#include "api/envoy/type/matcher/v3/string.pb.h"
#include "source/http/header_id.h"
#include "source/http/message.h"

namespace sluice {

/// A compiled regular expression; matches the whole text. InvalidArgument with RE2's words.
absl::StatusOr<std::shared_ptr<const RE2>> CompileRegex(std::string_view pattern);
/// Whether the expression matches all of `text`.
bool FullMatch(std::string_view text, const RE2& regex);

/// envoy.type.matcher.v3.StringMatcher.
class StringMatcher {
 public:
  enum class Kind : uint8_t { kExact, kPrefix, kSuffix, kContains, kRegex };

  /// InvalidArgument for a bad regular expression or a matcher that says nothing.
  static absl::StatusOr<StringMatcher> Build(const envoy::type::matcher::v3::StringMatcher& config);
  StringMatcher(Kind kind, std::string_view text, bool ignore_case = false);
  explicit StringMatcher(std::shared_ptr<const RE2> regex)
      : kind_(Kind::kRegex), regex_(std::move(regex)) {}

  /// Allocates nothing.
  bool Matches(std::string_view text) const;

 private:
  Kind kind_;
  bool ignore_case_ = false;
  std::string text_;
  std::shared_ptr<const RE2> regex_;
};

/// envoy.config.route.v3.HeaderMatcher, its deprecated forms too. Of several fields of one name it
/// is enough that one matches, and none may for an inverted one; as in Envoy those of the names
/// that lists are usual for (accept, via, x-forwarded-for and others) match as one value joined by
/// ",".
class HeaderMatcher {
 public:
  /// InvalidArgument as StringMatcher's.
  static absl::StatusOr<HeaderMatcher> Build(const envoy::config::route::v3::HeaderMatcher& config);

  /// Of a request also ":method", ":scheme", ":authority" ("host"), ":path". Allocates only where a
  /// name has several fields.
  bool Matches(const RequestHead& head) const;
  /// Of a response, too.
  bool Matches(const Headers& headers) const;
  /// Of a value that the caller looked up; nullopt: there is none.
  bool MatchesValue(std::optional<std::string_view> value) const;
  const std::string& name() const { return name_; }

 private:
  HeaderMatcher() = default;

  enum class Kind : uint8_t { kPresent, kString, kRange };
  std::string name_;
  HeaderId id_ = HeaderId::kOther;
  Kind kind_ = Kind::kPresent;
  bool present_ = true;
  bool invert_ = false;
  bool missing_is_empty_ = false;
  int64_t range_start_ = 0, range_end_ = 0;
  std::optional<StringMatcher> string_;
};

/// envoy.config.route.v3.QueryParameterMatcher. Names and values are compared as they stand in the
/// query, without decoding.
class QueryMatcher {
 public:
  /// InvalidArgument as StringMatcher's.
  static absl::StatusOr<QueryMatcher> Build(
      const envoy::config::route::v3::QueryParameterMatcher& config);
  /// `path`: path and query.
  bool Matches(std::string_view path) const;

 private:
  QueryMatcher() = default;
  std::string name_;
  bool present_ = true;
  std::optional<StringMatcher> string_;
};

/// The first value of a query parameter in `path`; nullopt when there is none.
std::optional<std::string_view> QueryParameter(std::string_view path, std::string_view name);

}  // namespace sluice
