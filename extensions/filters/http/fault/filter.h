// Fault injection (envoy.filters.http.fault): delays requests, answers them with errors and slows
// responses down, to see who can bear it. Immutable but for one count; shared by all workers.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <google/protobuf/struct.pb.h>

#include "api/envoy/extensions/filters/http/fault/v3/fault.pb.h"
#include "source/base/strings.h"
#include "source/config/runtime.h"
#include "source/extension/registry.h"
#include "source/http/filter.h"
#include "source/observe/match/match.h"

namespace sluice {

/// http.<prefix>.fault.*
struct FaultStats {
  explicit FaultStats(const stats::Scope& scope);

  Counter delays_injected, aborts_injected, response_rl_injected, faults_overflow;
  Gauge active_faults;
};

/// One kind of fault: what it is, or that a header says it, and how often.
struct FaultRule {
  bool by_header = false;
  uint64_t fixed = 0;           // KiB a second
  config::RuntimeUInt32 value;  // milliseconds, or status
  config::RuntimeFraction share;

  /// The value for this request; nullopt: no fault. `header` has the value and
  /// `<header>-percentage` may make it rarer.
  std::optional<uint64_t> Draw(const RequestHead& head, std::string_view header, Rng& rng) const;
};

/// One HTTPFault message: the filter's own or that of a route.
class Fault {
 public:
  using Proto = envoy::extensions::filters::http::fault::v3::HTTPFault;

  /// Main thread. Problems are reported at and below context.path.
  Fault(const Proto& config, FactoryContext& context);

  /// Worker.
  Task<Response> Handle(Request request, Exchange& exchange, Next next) const;

 private:
  class Active;
  struct Plan {  // what this request gets
    std::optional<uint64_t> delay_ms, status, kib_per_second;
  };

  bool Applies(const RequestHead& head, const Exchange& exchange) const;
  Plan Draw(const RequestHead& head, Rng& rng) const;
  Task<Response> Inject(Plan plan, Request request, Exchange& exchange, Next next) const;

  const FaultStats stats_;
  std::optional<FaultRule> delay_, abort_, rate_;
  const std::string cluster_;  // empty: any
  std::vector<HeaderMatcher> headers_;
  StringSet nodes_;  // empty: any
  const config::RuntimeUInt32 max_active_;
  const google::protobuf::Struct metadata_;
  mutable std::atomic<uint64_t> active_{0};  // of all workers; only requests with a fault touch it
};

class FaultFilter final : public Filter {
 public:
  explicit FaultFilter(std::unique_ptr<const Fault> own) : own_(std::move(own)) {}

  Task<Response> Handle(Request request, Exchange& exchange, Next next) const override;

 private:
  const std::unique_ptr<const Fault> own_;
};

/// Makes the filter known.
void RegisterFault(Registry& registry);

}  // namespace sluice
