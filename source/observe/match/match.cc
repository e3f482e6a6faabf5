// Matchers over strings, header fields and query parameters. Immutable, any thread.
#include "source/observe/match/match.h"

#include <algorithm>

#include "source/base/strings.h"

namespace sluice {
namespace {

namespace route = envoy::config::route::v3;

re2::StringPiece Piece(std::string_view text) {
  return {text.data(), text.size()};
}

bool ContainsIgnoreCase(std::string_view text, std::string_view part) {
  return std::search(text.begin(), text.end(), part.begin(), part.end(),
                     [](char a, char b) { return ToLower(a) == ToLower(b); }) != text.end();
}

// A whole number, as range_match reads one: an optional sign and digits.
std::optional<int64_t> ParseSigned(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const RE2>> CompileRegex(std::string_view pattern) {
  auto regex = std::make_shared<const RE2>(Piece(pattern), RE2::Quiet);
  if (!regex->ok()) return Invalid("bad regular expression: ", regex->error());
  return regex;
}

bool FullMatch(std::string_view text, const RE2& regex) {
  return RE2::FullMatch(Piece(text), regex);
}

StringMatcher::StringMatcher(Kind kind, std::string_view text, bool ignore_case)
    : kind_(kind), ignore_case_(ignore_case), text_(text) {}

absl::StatusOr<StringMatcher> StringMatcher::Build(
    const envoy::type::matcher::v3::StringMatcher& config) {
  using Config = envoy::type::matcher::v3::StringMatcher;
  const bool ignore_case = config.ignore_case();
  switch (config.match_pattern_case()) {
    case Config::kExact:
      return StringMatcher(Kind::kExact, config.exact(), ignore_case);
    case Config::kPrefix:
      return StringMatcher(Kind::kPrefix, config.prefix(), ignore_case);
    case Config::kSuffix:
      return StringMatcher(Kind::kSuffix, config.suffix(), ignore_case);
    case Config::kContains:
      return StringMatcher(Kind::kContains, config.contains(), ignore_case);
    case Config::kSafeRegex: {
      auto regex = CompileRegex(config.safe_regex().regex());
      if (!regex.ok()) return regex.status();
      if (ignore_case)
        return Invalid("ignore_case has no effect on safe_regex: begin the expression with (?i)");
      return StringMatcher(*std::move(regex));
    }
    case Config::MATCH_PATTERN_NOT_SET:
      break;
  }
  return Invalid("a string matcher needs one of exact, prefix, suffix, contains, safe_regex");
}

bool StringMatcher::Matches(std::string_view text) const {
  const size_t size = text_.size();
  switch (kind_) {
    case Kind::kExact:
      return ignore_case_ ? EqualsIgnoreCase(text, text_) : text == text_;
    case Kind::kPrefix:
      return ignore_case_ ? EqualsIgnoreCase(text.substr(0, size), text_) : text.starts_with(text_);
    case Kind::kSuffix:
      if (text.size() < size) return false;
      return ignore_case_ ? EqualsIgnoreCase(text.substr(text.size() - size), text_)
                          : text.ends_with(text_);
    case Kind::kContains:
      return ignore_case_ ? ContainsIgnoreCase(text, text_)
                          : text.find(text_) != std::string_view::npos;
    case Kind::kRegex:
      return FullMatch(text, *regex_);
  }
  return false;
}

absl::StatusOr<HeaderMatcher> HeaderMatcher::Build(const route::HeaderMatcher& config) {
  HeaderMatcher matcher;
  matcher.name_ = ToLower(config.name());
  matcher.id_ = FindHeaderId(matcher.name_);
  matcher.invert_ = config.invert_match();
  matcher.missing_is_empty_ = config.treat_missing_header_as_empty();
  using Form = StringMatcher::Kind;
  switch (config.header_match_specifier_case()) {
    case route::HeaderMatcher::kExactMatch:
      matcher.string_.emplace(Form::kExact, config.exact_match());
      break;
    case route::HeaderMatcher::kPrefixMatch:
      matcher.string_.emplace(Form::kPrefix, config.prefix_match());
      break;
    case route::HeaderMatcher::kSuffixMatch:
      matcher.string_.emplace(Form::kSuffix, config.suffix_match());
      break;
    case route::HeaderMatcher::kContainsMatch:
      matcher.string_.emplace(Form::kContains, config.contains_match());
      break;
    case route::HeaderMatcher::kSafeRegexMatch: {
      auto regex = CompileRegex(config.safe_regex_match().regex());
      if (!regex.ok()) return regex.status();
      matcher.string_.emplace(*std::move(regex));
      break;
    }
    case route::HeaderMatcher::kStringMatch: {
      auto string = StringMatcher::Build(config.string_match());
      if (!string.ok()) return string.status();
      matcher.string_ = *std::move(string);
      break;
    }
    case route::HeaderMatcher::kRangeMatch:
      matcher.kind_ = Kind::kRange;
      matcher.range_start_ = config.range_match().start();
      matcher.range_end_ = config.range_match().end();
      return matcher;
    case route::HeaderMatcher::kPresentMatch:
      matcher.present_ = config.present_match();
      return matcher;
    case route::HeaderMatcher::HEADER_MATCH_SPECIFIER_NOT_SET:
      return matcher;  // any value, as Envoy has it
  }
  matcher.kind_ = Kind::kString;
  return matcher;
}

bool HeaderMatcher::MatchesValue(std::optional<std::string_view> value) const {
  if (!value.has_value() && missing_is_empty_) value = std::string_view();
  if (kind_ == Kind::kPresent) return (value.has_value() == present_) != invert_;
  // A value that is not there has no property, so not its opposite either.
  if (!value.has_value()) return false;
  if (kind_ == Kind::kString) return string_->Matches(*value) != invert_;
  const auto number = ParseSigned(*value);
  const bool inside = number.has_value() && *number >= range_start_ && *number < range_end_;
  return inside != invert_;
}

bool HeaderMatcher::Matches(const RequestHead& head) const {
  const bool pseudo = name_.starts_with(':') || name_ == "host";
  return pseudo ? MatchesValue(head.Get(name_)) : Matches(head.headers);
}

bool HeaderMatcher::Matches(const Headers& headers) const {
  // As Envoy 1.40 was seen to do it.
  constexpr uint64_t kJoined =
      Bits(HeaderId::kAccept, HeaderId::kAcceptEncoding, HeaderId::kAuthorization,
           HeaderId::kCacheControl, HeaderId::kContentEncoding, HeaderId::kContentType,
           HeaderId::kIfModifiedSince, HeaderId::kIfNoneMatch, HeaderId::kOrigin, HeaderId::kPragma,
           HeaderId::kReferer, HeaderId::kUserAgent, HeaderId::kVia, HeaderId::kXEnvoyAttemptCount,
           HeaderId::kXEnvoyExternalAddress, HeaderId::kXEnvoyOriginalPath,
           HeaderId::kXForwardedFor, HeaderId::kXForwardedHost, HeaderId::kXForwardedPort,
           HeaderId::kXForwardedProto, HeaderId::kXRequestId);
  if (Contains(kJoined, id_)) return MatchesValue(headers.GetJoined(id_));
  bool there = false;
  for (const Header& header : headers) {
    if (header.id != id_ || (id_ == HeaderId::kOther && header.name != name_)) continue;
    there = true;
    if (MatchesValue(header.value) != invert_) return !invert_;
  }
  return there ? invert_ : MatchesValue(std::nullopt);
}

std::optional<std::string_view> QueryParameter(std::string_view path, std::string_view name) {
  const size_t mark = path.find('?');
  if (mark == std::string_view::npos) return std::nullopt;
  std::string_view rest = path.substr(mark + 1);
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const size_t equals = std::min(pair.find('='), pair.size());
    if (pair.substr(0, equals) == name) return pair.substr(std::min(equals + 1, pair.size()));
  }
  return std::nullopt;
}

absl::StatusOr<QueryMatcher> QueryMatcher::Build(const route::QueryParameterMatcher& config) {
  QueryMatcher matcher;
  matcher.name_ = config.name();
  if (config.has_string_match()) {
    auto string = StringMatcher::Build(config.string_match());
    if (!string.ok()) return string.status();
    matcher.string_ = *std::move(string);
  } else if (config.query_parameter_match_specifier_case() ==
             route::QueryParameterMatcher::kPresentMatch) {
    matcher.present_ = config.present_match();
  }
  return matcher;
}

bool QueryMatcher::Matches(std::string_view path) const {
  const auto value = QueryParameter(path, name_);
  if (string_.has_value()) return value.has_value() && string_->Matches(*value);
  return value.has_value() == present_;
}

}  // namespace sluice
