// Making a request ready for its cluster. Worker thread only.
#include "source/router/upstream_request.h"

#include <algorithm>

#include "source/base/strings.h"

namespace sluice {
namespace {

constexpr std::string_view kPrefix = "x-envoy-";

std::optional<Duration> Milliseconds32(std::string_view text) {
  const auto number = ParseDecimal<uint32_t>(text);
  if (!number.has_value()) return std::nullopt;
  return std::chrono::milliseconds(*number);
}

std::vector<uint32_t> ParseCodes(std::string_view text) {
  std::vector<uint32_t> codes;
  while (!text.empty()) {
    const size_t end = std::min(text.find(','), text.size());
    if (const auto code = ParseDecimal<uint32_t>(Trim(text.substr(0, end)))) codes.push_back(*code);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return codes;
}

// True for a header that speaks to the router; it is then taken out.
bool TakeWish(std::string_view name, std::string_view value, RequestWishes* wishes) {
  name.remove_prefix(kPrefix.size());
  if (name == "upstream-rq-timeout-ms") {
    wishes->timeout = Milliseconds32(value);
  } else if (name == "upstream-rq-per-try-timeout-ms") {
    wishes->per_try_timeout = Milliseconds32(value);
  } else if (name == "max-retries") {
    wishes->max_retries = ParseDecimal<uint32_t>(value);
  } else if (name == "retry-on") {
    wishes->retry_on = ParseRetryOn(value, nullptr);
  } else if (name == "retriable-status-codes") {
    wishes->status_codes = ParseCodes(value);
  } else {
    static constexpr std::string_view kTaken[] = {
        "hedge-on-per-try-timeout", "retriable-header-names", "retry-grpc-on",
        "upstream-alt-stat-name", "upstream-rq-timeout-alt-response"};
    return std::find(std::begin(kTaken), std::end(kTaken), name) != std::end(kTaken);
  }
  return true;
}

void RewriteHost(const Route& route, RequestHead& head) {
  std::string_view host = route.host_literal;
  if (!route.host_header.empty()) host = head.Get(route.host_header).value_or("");
  if (host.empty()) return;
  if (route.append_x_forwarded_host) {
    const auto last = head.headers.Get(HeaderId::kXForwardedHost);
    if (last.value_or("") != head.authority)
      head.headers.Append(HeaderId::kXForwardedHost, head.authority);
  }
  // The header that named the host may go: the view is copied.
  head.authority = head.arena.Copy(host);
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
  if (head.headers.Get(HeaderId::kXEnvoyInternal) != "true") return {};
  return wishes;
}

RetryPolicy WithWishes(const RetryPolicy* policy, const RequestWishes& wishes) {
  RetryPolicy effective = policy == nullptr ? RetryPolicy() : *policy;
  effective.on |= wishes.retry_on;
  if (wishes.max_retries.has_value()) effective.max_retries = *wishes.max_retries;
  if (wishes.per_try_timeout.has_value()) effective.per_try_timeout = *wishes.per_try_timeout;
  if (!wishes.status_codes.empty()) effective.status_codes = wishes.status_codes;
  return effective;
}

void PrepareRequest(const Route& route, Duration timeout, bool suppress_envoy_headers,
                    RequestHead& head, const Exchange& exchange) {
  if (!suppress_envoy_headers && timeout > Duration::zero()) {
    if (timeout == route.timeout) {
      head.headers.SetSafe(HeaderId::kXEnvoyExpectedRqTimeoutMs, route.timeout_text);
    } else {
      head.headers.Set(HeaderId::kXEnvoyExpectedRqTimeoutMs, Cat(Milliseconds(timeout)));
    }
  }
  if (route.request_attempt_count) head.headers.SetSafe(HeaderId::kXEnvoyAttemptCount, "1");
  for (const auto& edits : route.request_edits) edits->Apply(head.headers, exchange);
  RewriteHost(route, head);
  if (route.rewrite.has_value() && !head.path.empty()) {
    if (!suppress_envoy_headers) head.headers.Set(HeaderId::kXEnvoyOriginalPath, head.path);
    head.path = head.arena.Copy(RewritePath(*route.rewrite, head.path, route.MatchedLength(head)));
  }
}

}  // namespace sluice
