// Local rate limit (envoy.filters.http.local_ratelimit): refuses requests for which there is no
// token. Immutable but for its buckets; shared by all workers.
#pragma once

#include <memory>

#include "api/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.pb.h"
#include "extensions/filters/http/local_ratelimit/limiter.h"
#include "source/config/runtime.h"
#include "source/extension/registry.h"
#include "source/http/filter.h"
#include "source/observe/format/header_edits.h"

namespace sluice {

/// <stat_prefix>.http_local_rate_limit.*
struct LocalRateLimitStats {
  explicit LocalRateLimitStats(const stats::Scope& scope);

  Counter enabled;       // was looked at
  Counter ok;            // found its tokens
  Counter rate_limited;  // did not
  Counter enforced;      // and was refused
  Counter shadow_mode;   // found none in the bucket of a shadow descriptor
};

/// One LocalRateLimit message: the filter's own or that of a route, with its buckets.
class LocalRateLimit {
 public:
  using Proto = envoy::extensions::filters::http::local_ratelimit::v3::LocalRateLimit;

  /// Main thread. Problems are reported at and below context.path.
  LocalRateLimit(const Proto& config, FactoryContext& context);

  /// Worker.
  Task<Response> Handle(Request request, Exchange& exchange, Next next) const;

 private:
  Limiter::Verdict Ask(RequestHead& head, Exchange& exchange) const;
  void Describe(RequestHead& head, const Exchange& exchange, RateLimitDescriptors* out) const;
  Response Refuse(const Limiter::Verdict& verdict, Exchange& exchange) const;
  void AddLimitHeaders(const Limiter::Verdict& verdict, Headers& headers) const;
  Task<Response> PassOn(Limiter::Verdict verdict, Request request, Next next) const;

  const LocalRateLimitStats stats_;
  const LimiterSettings settings_;
  const std::unique_ptr<Limiter> limiter_;  // null: each connection has its own
  const config::RuntimeFraction enabled_;
  const config::RuntimeFraction enforced_;
  const HeaderEdits when_not_enforced_;
  const HeaderEdits when_refused_;
  const RateLimits own_limits_;
  const uint32_t stage_;
  const int status_;
  const envoy::extensions::common::ratelimit::v3::VhRateLimitsOptions virtual_host_limits_;
  const bool limit_headers_;
  const bool retry_after_;
};

class LocalRateLimitFilter final : public Filter {
 public:
  explicit LocalRateLimitFilter(std::unique_ptr<const LocalRateLimit> own) : own_(std::move(own)) {}

  Task<Response> Handle(Request request, Exchange& exchange, Next next) const override;

 private:
  const std::unique_ptr<const LocalRateLimit> own_;
};

/// Makes the filter known.
void RegisterLocalRateLimit(Registry& registry);

}  // namespace sluice
