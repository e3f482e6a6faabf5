// Making a request ready for its cluster. Worker thread only.
#include "source/router/upstream_request.h"

#include <algorithm>

#include "source/base/strings.h"
#include "source/http/reply.h"

namespace sluice {
namespace {

constexpr std::string_view kPrefix = "x-envoy-";

std::optional<Duration> Milliseconds32(std::string_view text) {
  const auto number = ParseDecimal<uint32_t>(text);
  if (!number.has_value()) return std::nullopt;
  return std::chrono::milliseconds(*number);
}

// Calls `take` for each element of a comma separated list.
template <class Take>
void ForEach(std::string_view text, Take take) {
  while (!text.empty()) {
    const size_t end = std::min(text.find(','), text.size());
    take(Trim(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::vector<uint32_t> ParseCodes(std::string_view text) {
  std::vector<uint32_t> codes;
  ForEach(text, [&](std::string_view element) {
    if (const auto code = ParseDecimal<uint32_t>(element)) codes.push_back(*code);
  });
  return codes;
}

// Matchers for responses that have a header of one of the names.
std::vector<HeaderMatcher> ParseHeaderNames(std::string_view text) {
  std::vector<HeaderMatcher> matchers;
  ForEach(text, [&](std::string_view element) {
    if (element.empty() || matchers.size() >= 16) return;
    envoy::config::route::v3::HeaderMatcher config;
    config.set_name(std::string(element));
    config.set_present_match(true);
    if (auto matcher = HeaderMatcher::Build(config); matcher.ok())
      matchers.push_back(*std::move(matcher));
  });
  return matchers;
}

// True for a header that speaks to the router; it is then taken out.
bool TakeWish(std::string_view name, std::string_view value, RequestWishes* wishes) {
  name.remove_prefix(kPrefix.size());
  if (name == "upstream-rq-timeout-ms") {
    wishes->timeout = Milliseconds32(value);
  } else if (name == "upstream-rq-per-try-timeout-ms") {
    wishes->per_try_timeout = Milliseconds32(value);
  } else if (name == "upstream-stream-duration-ms") {
    wishes->stream_duration = Milliseconds32(value);
  } else if (name == "max-retries") {
    wishes->max_retries = ParseDecimal<uint32_t>(value);
  } else if (name == "retry-on") {
    wishes->retry_on |= ParseRetryOn(value, nullptr);
  } else if (name == "retriable-status-codes") {
    wishes->status_codes = ParseCodes(value);
  } else if (name == "retry-grpc-on") {
    wishes->retry_on |= ParseRetryOn(value, nullptr);
  } else if (name == "retriable-header-names") {
    wishes->headers = ParseHeaderNames(value);
  } else if (name == "upstream-rq-timeout-alt-response") {
    wishes->no_content_on_timeout = true;
  } else if (name == "upstream-alt-stat-name") {
    wishes->alt_stat_name = value;
  } else {
    return name == "hedge-on-per-try-timeout";
  }
  return true;
}

// The host that the route puts in place of the request's; empty: none. `text` may hold it.
std::string_view NewHost(const Route& route, const RequestHead& head, const Exchange& exchange,
                         std::string* text) {
  if (!route.host_header.empty()) return head.Get(route.host_header).value_or("");
  if (route.host_regex != nullptr) {
    *text = head.PathOnly();
    RE2::GlobalReplace(text, *route.host_regex->regex, route.host_regex->substitution);
    return *text;
  }
  if (route.formats != nullptr && route.formats->host.has_value()) {
    route.formats->host->Format(LogContext{exchange}, text);
    return *text;
  }
  return route.host_literal;
}

void RewriteHost(const Route& route, bool suppress_envoy_headers, RequestHead& head,
                 const Exchange& exchange) {
  std::string text;
  const std::string_view host = NewHost(route, head, exchange, &text);
  if (host.empty()) return;
  if (!suppress_envoy_headers) head.headers.Set("x-envoy-original-host", head.authority);
  if (route.append_x_forwarded_host) {
    const auto last = head.headers.Get(HeaderId::kXForwardedHost);
    if (last.value_or("") != head.authority)
      head.headers.Append(HeaderId::kXForwardedHost, head.authority);
  }
  // The header that named the host may go: the view is copied.
  head.authority = head.arena.Copy(host);
}

void RewritePath(const Route& route, bool suppress_envoy_headers, RequestHead& head,
                 const Exchange& exchange) {
  std::string path;
  if (route.rewrite.has_value()) {
    path = RewritePath(*route.rewrite, head.path, route.MatchedLength(head));
  } else if (route.formats != nullptr && route.formats->path.has_value()) {
    route.formats->path->Format(LogContext{exchange}, &path);
    if (!path.starts_with('/')) path.insert(0, "/");
    path += head.path.substr(head.PathOnly().size());
  }
  if (path.empty() || head.path.empty()) return;
  if (!suppress_envoy_headers) head.headers.Set(HeaderId::kXEnvoyOriginalPath, head.path);
  head.path = head.arena.Copy(path);
}

// An attempt may take its own timeout, and what is left of the whole request's.
Duration ExpectedTime(const RequestTimeouts& timeouts, Duration elapsed) {
  if (timeouts.global <= Duration::zero()) return timeouts.per_try;
  const Duration left = std::max<Duration>(timeouts.global - elapsed, std::chrono::milliseconds(1));
  return timeouts.per_try > Duration::zero() ? std::min(timeouts.per_try, left) : left;
}

bool IsReadable(std::string_view name, std::string_view value) {
  if (name == "x-envoy-retry-on" || name == "x-envoy-retry-grpc-on") {
    std::string unknown;
    ParseRetryOn(value, &unknown);
    return unknown.empty();
  }
  return ParseDecimal<uint32_t>(value).has_value();
}

Duration GrpcUnit(char letter) {
  switch (letter) {
    case 'H':
      return std::chrono::hours(1);
    case 'M':
      return std::chrono::minutes(1);
    case 'S':
      return std::chrono::seconds(1);
    case 'm':
      return std::chrono::milliseconds(1);
    case 'u':
      return std::chrono::microseconds(1);
    case 'n':
      return std::chrono::nanoseconds(1);
    default:
      return {};
  }
}

// An origin of gRPC shall know what it really has, not what the client would have given it.
void ShortenGrpcTimeout(const Route& route, int64_t milliseconds, RequestHead& head) {
  if (!route.max_grpc_timeout.has_value() || !head.is_grpc()) return;
  constexpr int64_t kMost = 99'999'999;  // eight digits
  head.headers.Set("grpc-timeout", milliseconds <= kMost
                                       ? Cat(milliseconds, "m")
                                       : Cat(std::min(milliseconds / 1000, kMost), "S"));
}

bool IsTrusted(const RequestHead& head) {
  return head.headers.Get(HeaderId::kXEnvoyInternal) == "true";
}

}  // namespace

RequestWishes TakeWishes(RequestHead& head) {
  RequestWishes wishes;
  const auto speaks_to_us = [](const Header& header) {
    return header.id == HeaderId::kOther && header.name.size() > kPrefix.size() &&
           header.name.starts_with(kPrefix);
  };
  if (std::none_of(head.headers.begin(), head.headers.end(), speaks_to_us)) return wishes;
  head.headers.RemoveIf([&](const Header& header) {
    return speaks_to_us(header) && TakeWish(header.name, header.value, &wishes);
  });
  if (!IsTrusted(head)) return {};
  return wishes;
}

Duration GrpcTimeout(const Route& route, const RequestHead& head) {
  const std::string_view text = head.headers.Get("grpc-timeout").value_or("");
  // At most eight digits and a unit.
  const auto number = text.size() < 2 || text.size() > 9
                          ? std::nullopt
                          : ParseDecimal<int64_t>(text.substr(0, text.size() - 1));
  Duration asked{};
  if (number.has_value()) asked = std::min<int64_t>(*number, 2'000'000) * GrpcUnit(text.back());
  const Duration most = *route.max_grpc_timeout;
  if (asked > route.grpc_timeout_offset) asked -= route.grpc_timeout_offset;
  if (most > Duration::zero() && (asked <= Duration::zero() || asked > most)) return most;
  return asked;
}

std::string_view UnreadableWish(const std::vector<std::string>& names, const RequestHead& head) {
  if (names.empty() || !IsTrusted(head)) return {};
  for (const std::string& name : names) {
    const auto value = head.headers.Get(name);
    if (value.has_value() && !IsReadable(name, *value)) return name;
  }
  return {};
}

Response AnswerTo(TurnedAway why, bool suppress_envoy_headers, Exchange& exchange) {
  struct Words {
    ResponseFlag flag;
    std::string_view body, details, header;
  };
  static constexpr Words kWords[] = {
      {ResponseFlag::kUpstreamOverflow, "maintenance mode", "maintenance_mode",
       "x-envoy-overloaded"},
      {ResponseFlag::kDropOverload, "drop overload", "drop_overload", "x-envoy-drop-overload"},
      {ResponseFlag::kUnconditionalDropOverload, "unconditional drop overload",
       "unconditional_drop_overload", "x-envoy-unconditional-drop-overload"},
  };
  const Words& words = kWords[static_cast<size_t>(why) - 1];
  exchange.Note(words.flag);
  Response response = Refusal(exchange, 503, words.body, words.details);
  if (!suppress_envoy_headers) response.head->headers.Set(words.header, "true");
  return response;
}

bool MayRetry(const RetryPolicy& policy, const RequestHead& head) {
  return policy.only_requests.empty() ||
         std::any_of(policy.only_requests.begin(), policy.only_requests.end(),
                     [&](const HeaderMatcher& matcher) { return matcher.Matches(head); });
}

RetryPolicy WithWishes(const RetryPolicy* policy, const RequestWishes& wishes) {
  RetryPolicy effective = policy == nullptr ? RetryPolicy() : *policy;
  effective.on |= wishes.retry_on;
  if (wishes.max_retries.has_value()) effective.max_retries = *wishes.max_retries;
  if (wishes.per_try_timeout.has_value()) effective.per_try_timeout = *wishes.per_try_timeout;
  if (!wishes.status_codes.empty()) effective.status_codes = wishes.status_codes;
  effective.headers.insert(effective.headers.end(), wishes.headers.begin(), wishes.headers.end());
  return effective;
}

void PrepareRequest(const Route& route, const RequestTimeouts& timeouts,
                    bool suppress_envoy_headers, RequestHead& head, const Exchange& exchange) {
  const Duration expected = ExpectedTime(timeouts, Duration::zero());
  if (!suppress_envoy_headers && expected > Duration::zero()) {
    if (expected == route.timeout) {
      head.headers.SetSafe(HeaderId::kXEnvoyExpectedRqTimeoutMs, route.timeout_text);
    } else {
      head.headers.Set(HeaderId::kXEnvoyExpectedRqTimeoutMs, Cat(Milliseconds(expected)));
    }
  }
  if (expected > Duration::zero()) ShortenGrpcTimeout(route, Milliseconds(expected), head);
  if (route.request_attempt_count) head.headers.SetSafe(HeaderId::kXEnvoyAttemptCount, "1");
  for (const auto& edits : route.request_edits) edits->Apply(head.headers, exchange);
  RewriteHost(route, suppress_envoy_headers, head, exchange);
  if (route.rewrite.has_value() || route.formats != nullptr)
    RewritePath(route, suppress_envoy_headers, head, exchange);
}

void PrepareRetry(const Route& route, const RequestTimeouts& timeouts, Duration elapsed,
                  bool after_timeout, bool suppress_envoy_headers, uint32_t attempt,
                  RequestHead& head) {
  if (route.request_attempt_count) head.headers.Set(HeaderId::kXEnvoyAttemptCount, Cat(attempt));
  if (route.timeout_retry_header)
    head.headers.Set("x-envoy-is-timeout-retry", after_timeout ? "true" : "false");
  const Duration expected = ExpectedTime(timeouts, elapsed);
  if (expected <= Duration::zero()) return;
  const int64_t milliseconds = std::max<int64_t>(Milliseconds(expected), 1);
  if (!suppress_envoy_headers)
    head.headers.Set(HeaderId::kXEnvoyExpectedRqTimeoutMs, Cat(milliseconds));
  ShortenGrpcTimeout(route, milliseconds, head);
}

}  // namespace sluice
