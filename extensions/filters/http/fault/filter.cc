// The fault filter. Worker threads, but for what is built.
#include "extensions/filters/http/fault/filter.h"

#include <algorithm>
#include <limits>

#include "source/config/durations.h"
#include "source/http/reply.h"

namespace sluice {
namespace {

using Percent = envoy::type::v3::FractionalPercent;

constexpr std::string_view kAborted = "fault filter abort";
constexpr std::string_view kAbortedDetails = "fault_filter_abort";
constexpr std::string_view kMetadata = "envoy.filters.http.fault";
// A slow response comes in so many parts a second.
constexpr uint64_t kParts = 16;

// The key that a field names, or the usual one.
std::string_view KeyOf(const std::string& named, std::string_view usual) {
  return named.empty() ? usual : std::string_view(named);
}

// A response body at a given pace.
class SlowBody final : public WrappedBody {
 public:
  SlowBody(BodyPtr from, uint64_t kib_per_second)
      : WrappedBody(std::move(from)),
        bytes_per_second_(std::min<uint64_t>(kib_per_second, uint64_t{1} << 40) * 1024) {}

  Task<absl::StatusOr<Chunk>> Read() override {
    if (rest_.empty()) {
      auto chunk = co_await inner().Read();
      if (!chunk.ok() || chunk->empty()) co_return chunk;
      rest_ = *std::move(chunk);
    }
    const auto seconds = static_cast<double>(sent_) / static_cast<double>(bytes_per_second_);
    const auto due =
        start_ + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
    const Duration wait = due - Now();
    if (wait > Duration::zero() && !co_await Sleep(wait)) co_return MakeError(Reason::kCancelled);
    const size_t size =
        std::min<size_t>(rest_.data.size(), std::max<uint64_t>(1, bytes_per_second_ / kParts));
    Chunk part{rest_.buffer, rest_.data.substr(0, size)};
    rest_.data.remove_prefix(size);
    if (rest_.empty()) rest_ = Chunk();
    sent_ += size;
    co_return part;
  }
  bool Ready() const override { return false; }
  std::optional<uint64_t> Length() const override {
    const auto length = inner().Length();
    if (!length.has_value()) return std::nullopt;
    return *length + rest_.data.size();
  }

 private:
  const uint64_t bytes_per_second_;
  const TimePoint start_ = Now();
  Chunk rest_;
  uint64_t sent_ = 0;
};

}  // namespace

FaultStats::FaultStats(const stats::Scope& scope)
    : delays_injected(scope.counter("delays_injected")),
      aborts_injected(scope.counter("aborts_injected")),
      response_rl_injected(scope.counter("response_rl_injected")),
      faults_overflow(scope.counter("faults_overflow")),
      active_faults(scope.gauge("active_faults")) {}

std::optional<uint64_t> FaultRule::Draw(const RequestHead& head, std::string_view header,
                                        Rng& rng) const {
  uint64_t wanted = fixed != 0 ? fixed : value.Get();
  config::Fraction part = share.Get();
  if (by_header) {
    const auto said = ParseDecimal<uint64_t>(head.headers.Get(header).value_or(""));
    if (!said.has_value()) return std::nullopt;
    wanted = *said;
    // The header may ask for fewer faults than the configuration allows, not for more.
    const auto percentage = head.headers.Get(Cat(header, "-percentage"));
    if (percentage.has_value())
      part.numerator = std::min(part.numerator, ParseDecimal<uint32_t>(*percentage).value_or(0));
  }
  if (part.numerator == 0) return std::nullopt;
  if (part.numerator < part.denominator && !rng.Chance(part.numerator, part.denominator))
    return std::nullopt;
  return wanted;
}

Fault::Fault(const Proto& config, FactoryContext& context)
    : stats_(context.scope.Sub("fault")),
      cluster_(config.upstream_cluster()),
      max_active_(context.server.runtime,
                  KeyOf(config.max_active_faults_runtime(), "fault.http.max_active_faults"),
                  config.has_max_active_faults() ? config.max_active_faults().value()
                                                 : std::numeric_limits<uint32_t>::max()),
      metadata_(config.filter_metadata()) {
  config::Runtime* const runtime = context.server.runtime;
  const auto number = [runtime](const std::string& key, std::string_view usual, uint64_t value) {
    constexpr uint64_t kMost = std::numeric_limits<uint32_t>::max();
    return config::RuntimeUInt32(runtime, KeyOf(key, usual),
                                 static_cast<uint32_t>(std::min(value, kMost)));
  };
  const auto share = [runtime](const std::string& key, std::string_view usual,
                               const Percent& percent) {
    return config::RuntimeFraction(runtime, KeyOf(key, usual), config::Fraction::Of(percent));
  };
  if (config.has_delay()) {
    const Duration fixed = config::ToDuration(config.delay().fixed_delay());
    delay_ = FaultRule{config.delay().has_header_delay(), 0,
                       number(config.delay_duration_runtime(), "fault.http.delay.fixed_duration_ms",
                              static_cast<uint64_t>(std::max<int64_t>(0, Milliseconds(fixed)))),
                       share(config.delay_percent_runtime(), "fault.http.delay.fixed_delay_percent",
                             config.delay().percentage())};
  }
  if (config.has_abort()) {
    abort_ = FaultRule{config.abort().has_header_abort(), 0,
                       number(config.abort_http_status_runtime(), "fault.http.abort.http_status",
                              config.abort().http_status()),
                       share(config.abort_percent_runtime(), "fault.http.abort.abort_percent",
                             config.abort().percentage())};
  }
  if (config.has_response_rate_limit()) {
    const auto& limit = config.response_rate_limit();
    rate_ = FaultRule{limit.has_header_limit(),
                      limit.fixed_limit().limit_kbps(),
                      {},
                      share(config.response_rate_limit_percent_runtime(),
                            "fault.http.rate_limit.response_percent", limit.percentage())};
  }
  for (int i = 0; i < config.headers_size(); ++i) {
    auto matcher = HeaderMatcher::Build(config.headers(i));
    if (matcher.ok()) {
      headers_.push_back(*std::move(matcher));
    } else {
      context.Error(Cat("headers[", i, "]"), Std(matcher.status().message()));
    }
  }
  for (const std::string& node : config.downstream_nodes()) nodes_.insert(node);
}

bool Fault::Applies(const RequestHead& head, const Exchange& exchange) const {
  if (!cluster_.empty() &&
      (exchange.route() == nullptr || exchange.route()->ClusterFor(head) != cluster_))
    return false;
  if (!nodes_.empty() &&
      !nodes_.contains(head.headers.Get("x-envoy-downstream-service-node").value_or("")))
    return false;
  return std::all_of(headers_.begin(), headers_.end(),
                     [&head](const HeaderMatcher& one) { return one.Matches(head); });
}

Fault::Plan Fault::Draw(const RequestHead& head, Rng& rng) const {
  Plan plan;
  if (delay_.has_value()) plan.delay_ms = delay_->Draw(head, "x-envoy-fault-delay-request", rng);
  if (abort_.has_value()) {
    plan.status = abort_->Draw(head, "x-envoy-fault-abort-request", rng);
    if (plan.status.has_value() && (*plan.status < 200 || *plan.status > 599)) plan.status.reset();
  }
  if (rate_.has_value()) {
    plan.kib_per_second = rate_->Draw(head, "x-envoy-fault-throughput-response", rng);
    if (plan.kib_per_second == 0u) plan.kib_per_second.reset();
  }
  if (plan.delay_ms == 0u) plan.delay_ms.reset();
  return plan;
}

// A request that has a fault, while it has.
class Fault::Active {
 public:
  explicit Active(const Fault& fault)
      : fault_(fault),
        fits_(fault.active_.fetch_add(1, std::memory_order_relaxed) < fault.max_active_.Get()) {
    if (fits_) fault_.stats_.active_faults.Add();
  }
  ~Active() {
    fault_.active_.fetch_sub(1, std::memory_order_relaxed);
    if (fits_) fault_.stats_.active_faults.Sub();
  }
  Active(const Active&) = delete;
  bool fits() const { return fits_; }

 private:
  const Fault& fault_;
  const bool fits_;
};

Task<Response> Fault::Handle(Request request, Exchange& exchange, Next next) const {
  if (!Applies(*request.head, exchange)) return next(std::move(request));
  const Plan plan = Draw(*request.head, exchange.worker().rng());
  if (!plan.delay_ms.has_value() && !plan.status.has_value() && !plan.kib_per_second.has_value())
    return next(std::move(request));
  return Inject(plan, std::move(request), exchange, next);
}

Task<Response> Fault::Inject(Plan plan, Request request, Exchange& exchange, Next next) const {
  const Active active(*this);
  if (!active.fits()) {
    stats_.faults_overflow.Add();
    co_return co_await next(std::move(request));
  }
  if (metadata_.fields_size() > 0) exchange.AddMetadata(kMetadata, metadata_);
  if (plan.delay_ms.has_value()) {
    stats_.delays_injected.Add();
    exchange.Note(ResponseFlag::kDelayInjected);
    const auto longest = std::chrono::milliseconds(std::chrono::hours(24));
    const auto delay = std::chrono::milliseconds(
        std::min<uint64_t>(*plan.delay_ms, static_cast<uint64_t>(longest.count())));
    if (!co_await Sleep(delay)) co_return ErrorReply(MakeError(Reason::kCancelled), exchange);
  }
  if (plan.status.has_value()) {
    stats_.aborts_injected.Add();
    exchange.Note(ResponseFlag::kFaultInjected);
    co_return Refusal(exchange, static_cast<int>(*plan.status), kAborted, kAbortedDetails);
  }
  Response response = co_await next(std::move(request));
  if (plan.kib_per_second.has_value() && response.body != nullptr) {
    stats_.response_rl_injected.Add();
    response.body = std::make_unique<SlowBody>(std::move(response.body), *plan.kib_per_second);
  }
  co_return response;
}

Task<Response> FaultFilter::Handle(Request request, Exchange& exchange, Next next) const {
  const Fault* route = next.RouteConfig<Fault>();
  return (route != nullptr ? *route : *own_).Handle(std::move(request), exchange, next);
}

void RegisterFault(Registry& registry) {
  registry.AddHttpFilter<Fault::Proto, Fault::Proto>(
      "envoy.filters.http.fault", Posture::kRobustToUntrustedBoth,
      [](const Fault::Proto& config, FactoryContext& context) -> absl::StatusOr<FilterPtr> {
        return std::make_unique<FaultFilter>(std::make_unique<const Fault>(config, context));
      },
      [](const Fault::Proto& config,
         FactoryContext& context) -> absl::StatusOr<std::shared_ptr<const Fault>> {
        return std::make_shared<const Fault>(config, context);
      });
}

}  // namespace sluice
