// See load_balancing.h.
#include "source/server/clusters/load_balancing.h"

#include "api/envoy/extensions/load_balancing_policies/least_request/v3/least_request.pb.h"
#include "api/envoy/extensions/load_balancing_policies/maglev/v3/maglev.pb.h"
#include "api/envoy/extensions/load_balancing_policies/random/v3/random.pb.h"
#include "api/envoy/extensions/load_balancing_policies/ring_hash/v3/ring_hash.pb.h"
#include "api/envoy/extensions/load_balancing_policies/round_robin/v3/round_robin.pb.h"
#include "source/config/durations.h"

namespace sluice {
namespace {

namespace v3 = envoy::config::cluster::v3;
namespace lb = envoy::extensions::load_balancing_policies;
using BalancerOr = absl::StatusOr<std::unique_ptr<const Balancer>>;

// A number that balancing takes from the runtime once, when the configuration is loaded.
double NumberOf(const envoy::config::core::v3::RuntimeDouble& config, std::string_view field,
                const FactoryContext& context) {
  const ServerContext& server = context.server;
  if (server.runtime != nullptr && server.runtime->Find(config.runtime_key()) != nullptr) {
    server.diagnostics.Warning(config::ChildPath(context.path, field),
                               "follows the runtime only when the configuration is loaded");
  }
  return config::RuntimeDouble(config, server.runtime).Get();
}

// Two messages of the same fields: Cluster.SlowStartConfig and that of the extensions.
template <class Config>
SlowStart SlowStartOf(const Config& config, const FactoryContext& context) {
  SlowStart slow_start;
  if (config.has_slow_start_window())
    slow_start.window = config::ToDuration(config.slow_start_window());
  const double aggression = NumberOf(config.aggression(), "slow_start_config", context);
  if (aggression > 0) slow_start.aggression = aggression;
  if (config.has_min_weight_percent())
    slow_start.min_weight_percent = config.min_weight_percent().value();
  return slow_start;
}

// LeastRequestLbConfig and the message of the extension.
template <class Config>
LeastRequestSettings LeastRequestOf(const Config& config, const FactoryContext& context) {
  LeastRequestSettings settings;
  if (config.has_choice_count()) settings.choices = config.choice_count().value();
  if (config.has_active_request_bias()) {
    const double bias = NumberOf(config.active_request_bias(), "active_request_bias", context);
    if (bias >= 0) settings.active_request_bias = bias;
  }
  return settings;
}

void ReadLocality(const lb::common::v3::LocalityLbConfig& config, BalancerOptions& options) {
  options.locality_weighted = config.has_locality_weighted_lb_config();
  options.fail_on_panic = config.zone_aware_lb_config().fail_traffic_on_panic();
}

// The policy as its extension is configured: lb_policy and its fields say the same in other words.
std::unique_ptr<const Balancer> FromExtension(ClusterFactoryContext& context, std::string_view name,
                                              const google::protobuf::Message& config) {
  google::protobuf::Any any;
  any.PackFrom(config);
  const auto* entry = context.server.registry.balancers().Find(name, any.type_url());
  if (entry == nullptr) {
    context.Error("lb_policy", "this binary was built without it");
    return nullptr;
  }
  FactoryContext inner{context.server, context.path, context.scope};
  auto balancer = entry->create(any, inner);
  if (balancer.ok()) return *std::move(balancer);
  context.Error("lb_policy", Std(balancer.status().message()));
  return nullptr;
}

// What ring hash and maglev are told by common_lb_config.
template <class Config>
void ReadCommon(const v3::Cluster::CommonLbConfig& common, Config& config) {
  if (common.has_locality_weighted_lb_config()) config.mutable_locality_weighted_lb_config();
  if (!common.has_consistent_hashing_lb_config()) return;
  const auto& hashing = common.consistent_hashing_lb_config();
  auto& target = *config.mutable_consistent_hashing_lb_config();
  target.set_use_hostname_for_hashing(hashing.use_hostname_for_hashing());
  if (hashing.has_hash_balance_factor())
    *target.mutable_hash_balance_factor() = hashing.hash_balance_factor();
}

std::unique_ptr<const Balancer> RingHashOf(ClusterFactoryContext& context) {
  const auto& old = context.config.ring_hash_lb_config();
  lb::ring_hash::v3::RingHash config;
  if (old.has_minimum_ring_size()) *config.mutable_minimum_ring_size() = old.minimum_ring_size();
  if (old.has_maximum_ring_size()) *config.mutable_maximum_ring_size() = old.maximum_ring_size();
  if (old.hash_function() == v3::Cluster::RingHashLbConfig::MURMUR_HASH_2)
    config.set_hash_function(lb::ring_hash::v3::RingHash::MURMUR_HASH_2);
  ReadCommon(context.config.common_lb_config(), config);
  return FromExtension(context, "envoy.load_balancing_policies.ring_hash", config);
}

std::unique_ptr<const Balancer> MaglevOf(ClusterFactoryContext& context) {
  const auto& old = context.config.maglev_lb_config();
  lb::maglev::v3::Maglev config;
  if (old.has_table_size()) *config.mutable_table_size() = old.table_size();
  ReadCommon(context.config.common_lb_config(), config);
  return FromExtension(context, "envoy.load_balancing_policies.maglev", config);
}

std::unique_ptr<const Balancer> FromList(ClusterFactoryContext& context) {
  const v3::LoadBalancingPolicy& list = context.config.load_balancing_policy();
  for (int i = 0; i < list.policies_size(); ++i) {
    const auto& policy = list.policies(i).typed_extension_config();
    const auto* entry =
        context.server.registry.balancers().Find(policy.name(), policy.typed_config().type_url());
    if (entry == nullptr) continue;
    FactoryContext inner{context.server,
                         Cat(context.path, ".load_balancing_policy.policies[", i,
                             "].typed_extension_config.typed_config"),
                         context.scope};
    auto balancer = entry->create(policy.typed_config(), inner);
    if (balancer.ok()) return *std::move(balancer);
    inner.Error("", Std(balancer.status().message()));
    return nullptr;
  }
  std::string known;
  for (const auto& entry : context.server.registry.balancers().entries())
    AppendTo(&known, known.empty() ? "" : ", ", entry.name);
  context.Error("load_balancing_policy", "none of the policies is supported: use one of " + known);
  return nullptr;
}

}  // namespace

std::unique_ptr<const Balancer> BuildBalancer(ClusterFactoryContext& context) {
  const v3::Cluster& config = context.config;
  if (config.has_load_balancing_policy()) return FromList(context);
  BalancerOptions options;
  options.locality_weighted = config.common_lb_config().has_locality_weighted_lb_config();
  options.fail_on_panic = config.common_lb_config().zone_aware_lb_config().fail_traffic_on_panic();
  switch (config.lb_policy()) {
    case v3::Cluster::LEAST_REQUEST:
      options.slow_start =
          SlowStartOf(config.least_request_lb_config().slow_start_config(), context);
      return LeastRequest(LeastRequestOf(config.least_request_lb_config(), context), options);
    case v3::Cluster::RING_HASH:
      return RingHashOf(context);
    case v3::Cluster::MAGLEV:
      return MaglevOf(context);
    case v3::Cluster::RANDOM:
      return RandomChoice(options);
    case v3::Cluster::CLUSTER_PROVIDED:
      context.Error("lb_policy", "CLUSTER_PROVIDED goes with a cluster_type only");
      return nullptr;
    case v3::Cluster::LOAD_BALANCING_POLICY_CONFIG:
      context.Error("lb_policy",
                    "LOAD_BALANCING_POLICY_CONFIG goes with a load_balancing_policy only");
      return nullptr;
    default:
      options.slow_start = SlowStartOf(config.round_robin_lb_config().slow_start_config(), context);
      return RoundRobin(options);
  }
}

void RegisterBalancers(Registry& registry) {
  registry.AddBalancer<lb::round_robin::v3::RoundRobin>(
      "envoy.load_balancing_policies.round_robin",
      [](const auto& config, FactoryContext& context) -> BalancerOr {
        BalancerOptions options{.slow_start = SlowStartOf(config.slow_start_config(), context)};
        ReadLocality(config.locality_lb_config(), options);
        return RoundRobin(options);
      });
  registry.AddBalancer<lb::random::v3::Random>(
      "envoy.load_balancing_policies.random",
      [](const auto& config, FactoryContext&) -> BalancerOr {
        BalancerOptions options;
        ReadLocality(config.locality_lb_config(), options);
        return RandomChoice(options);
      });
  registry.AddBalancer<lb::least_request::v3::LeastRequest>(
      "envoy.load_balancing_policies.least_request",
      [](const auto& config, FactoryContext& context) -> BalancerOr {
        BalancerOptions options{.slow_start = SlowStartOf(config.slow_start_config(), context)};
        ReadLocality(config.locality_lb_config(), options);
        LeastRequestSettings settings = LeastRequestOf(config, context);
        settings.full_scan =
            config.selection_method() == lb::least_request::v3::LeastRequest::FULL_SCAN;
        return LeastRequest(settings, options);
      });
}

}  // namespace sluice
