// Reading of stats_config. Main thread.
#include "source/observe/stats/stats_config.h"

#include <algorithm>
#include <set>

#include "source/base/strings.h"
#include "source/observe/match/match.h"

namespace sluice::stats {
namespace {

using envoy::config::metrics::v3::StatsConfig;
using envoy::config::metrics::v3::StatsMatcher;

// Every built-in tag of Envoy 1.40, also those whose metrics are not here.
constexpr std::string_view kBuiltInTags[] = {
    "envoy.clientssl_prefix",
    "envoy.cluster_name",
    "envoy.connection_limit_prefix",
    "envoy.dns_filter_prefix",
    "envoy.ext_authz_prefix",
    "envoy.fault_downstream_cluster",
    "envoy.fixed_response_code",
    "envoy.google_grpc_client_prefix",
    "envoy.grpc_bridge_method",
    "envoy.grpc_bridge_service",
    "envoy.http_conn_manager_prefix",
    "envoy.http_user_agent",
    "envoy.listener_address",
    "envoy.local_http_ratelimit_prefix",
    "envoy.local_listener_ratelimit_prefix",
    "envoy.local_network_ratelimit_prefix",
    "envoy.mongo_callsite",
    "envoy.mongo_cmd",
    "envoy.mongo_collection",
    "envoy.mongo_prefix",
    "envoy.proxy_protocol_prefix",
    "envoy.proxy_protocol_version",
    "envoy.ratelimit_prefix",
    "envoy.rbac_http_prefix",
    "envoy.rbac_policy_name",
    "envoy.rbac_prefix",
    "envoy.rds_route_config",
    "envoy.redis_prefix",
    "envoy.response_code",
    "envoy.response_code_class",
    "envoy.route",
    "envoy.scoped_rds_config",
    "envoy.ssl_cipher",
    "envoy.ssl_cipher_suite",
    "envoy.ssl_curve",
    "envoy.ssl_sigalg",
    "envoy.ssl_version",
    "envoy.tcp_prefix",
    "envoy.thrift_prefix",
    "envoy.udp_prefix",
    "envoy.virtual_cluster",
    "envoy.virtual_host",
    "envoy.worker_id",
    "envoy.xds_authority",
    "envoy.xds_resource_name",
};

class Reader {
 public:
  Reader(std::string_view path, config::Diagnostics& diagnostics)
      : path_(path), diagnostics_(diagnostics) {}

  void ReadTags(const StatsConfig& config, StoreSettings* settings);
  void ReadMatcher(const StatsMatcher& config, StoreSettings* settings);
  void ReadBuckets(const StatsConfig& config, StoreSettings* settings);

 private:
  using Matchers = std::shared_ptr<std::vector<StringMatcher>>;

  void Error(const std::string& below, std::string_view message) {
    diagnostics_.Error(config::ChildPath(path_, below), message);
  }
  void ReadRegex(const std::string& below, const std::string& regex, StoreSettings::CustomTag* tag);
  Matchers ReadPatterns(const envoy::type::matcher::v3::ListStringMatcher& list,
                        const std::string& below);

  const std::string path_;
  config::Diagnostics& diagnostics_;
};

void Reader::ReadTags(const StatsConfig& config, StoreSettings* settings) {
  const bool all = !config.has_use_all_default_tags() || config.use_all_default_tags().value();
  std::set<std::string, std::less<>> names;
  std::set<std::string, std::less<>> built_in;
  for (int i = 0; i < config.stats_tags_size(); ++i) {
    const auto& tag = config.stats_tags(i);
    const std::string below = Cat("stats_tags[", i, "]");
    const bool known = std::find(std::begin(kBuiltInTags), std::end(kBuiltInTags),
                                 tag.tag_name()) != std::end(kBuiltInTags);
    if (!names.insert(tag.tag_name()).second || (all && known)) {
      Error(below + ".tag_name", Cat("the tag ", config::Quoted(tag.tag_name()), " exists already",
                                     known ? ": set use_all_default_tags to false" : ""));
      continue;
    }
    StoreSettings::CustomTag custom{tag.tag_name(), nullptr, tag.fixed_value()};
    if (tag.has_fixed_value()) {
      settings->tags.push_back(std::move(custom));
    } else if (tag.has_regex()) {
      ReadRegex(below + ".regex", tag.regex(), &custom);
      if (custom.regex != nullptr) settings->tags.push_back(std::move(custom));
    } else if (known) {
      built_in.insert(tag.tag_name());
    } else {
      Error(below, "needs regex or fixed_value: there is no built-in tag of that name");
    }
  }
  if (!all)
    settings->extracts = [built_in](std::string_view name) { return built_in.contains(name); };
}

void Reader::ReadRegex(const std::string& below, const std::string& regex,
                       StoreSettings::CustomTag* tag) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  auto compiled = std::make_shared<const re2::RE2>(regex, options);
  if (!compiled->ok()) return Error(below, compiled->error());
  const int groups = compiled->NumberOfCapturingGroups();
  if (groups < 1 || groups > 2)
    return Error(below, Cat("needs one group or two, and has ", groups));
  tag->regex = std::move(compiled);
}

Reader::Matchers Reader::ReadPatterns(const envoy::type::matcher::v3::ListStringMatcher& list,
                                      const std::string& below) {
  auto matchers = std::make_shared<std::vector<StringMatcher>>();
  for (int i = 0; i < list.patterns_size(); ++i) {
    auto matcher = StringMatcher::Build(list.patterns(i));
    if (matcher.ok()) {
      matchers->push_back(*std::move(matcher));
    } else {
      Error(Cat(below, ".patterns[", i, "]"), Std(matcher.status().message()));
    }
  }
  return matchers;
}

void Reader::ReadMatcher(const StatsMatcher& config, StoreSettings* settings) {
  const auto any = [](const Matchers& matchers, std::string_view name) {
    return std::any_of(matchers->begin(), matchers->end(),
                       [name](const StringMatcher& matcher) { return matcher.Matches(name); });
  };
  switch (config.stats_matcher_case()) {
    case StatsMatcher::kRejectAll:
      if (config.reject_all()) settings->keeps = [](std::string_view) { return false; };
      break;
    case StatsMatcher::kExclusionList:
      settings->keeps =
          [any, list = ReadPatterns(config.exclusion_list(), "stats_matcher.exclusion_list")](
              std::string_view name) { return !any(list, name); };
      break;
    case StatsMatcher::kInclusionList:
      settings->keeps =
          [any, list = ReadPatterns(config.inclusion_list(), "stats_matcher.inclusion_list")](
              std::string_view name) { return any(list, name); };
      break;
    case StatsMatcher::STATS_MATCHER_NOT_SET:
      break;
  }
}

void Reader::ReadBuckets(const StatsConfig& config, StoreSettings* settings) {
  for (int i = 0; i < config.histogram_bucket_settings_size(); ++i) {
    const auto& buckets = config.histogram_bucket_settings(i);
    auto matcher = StringMatcher::Build(buckets.match());
    if (!matcher.ok()) {
      Error(Cat("histogram_bucket_settings[", i, "].match"), Std(matcher.status().message()));
      continue;
    }
    std::vector<double> bounds(buckets.buckets().begin(), buckets.buckets().end());
    std::sort(bounds.begin(), bounds.end());
    settings->buckets.push_back(
        {[matcher = *std::move(matcher)](std::string_view name) { return matcher.Matches(name); },
         std::move(bounds)});
  }
}

}  // namespace

StoreSettings BuildStoreSettings(const StatsConfig& config, std::string_view path,
                                 config::Diagnostics& diagnostics) {
  StoreSettings settings;
  Reader reader(path, diagnostics);
  reader.ReadTags(config, &settings);
  reader.ReadMatcher(config.stats_matcher(), &settings);
  reader.ReadBuckets(config, &settings);
  return settings;
}

}  // namespace sluice::stats
