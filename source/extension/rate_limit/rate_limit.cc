// Compiling and evaluating rate-limit actions. See rate_limit.h for threads.
#include "source/extension/rate_limit/rate_limit.h"

#include <algorithm>
#include <cstring>

#include "source/base/strings.h"

namespace sluice {
namespace {

namespace v3 = envoy::config::route::v3;
using Proto = v3::RateLimit::Action;

std::string OrElse(const std::string& text, std::string_view otherwise) {
  return text.empty() ? std::string(otherwise) : text;
}

absl::StatusOr<std::vector<HeaderMatcher>> BuildHeaders(
    const google::protobuf::RepeatedPtrField<v3::HeaderMatcher>& configs) {
  std::vector<HeaderMatcher> out;
  for (const auto& config : configs) {
    auto matcher = HeaderMatcher::Build(config);
    if (!matcher.ok()) return matcher.status();
    out.push_back(*std::move(matcher));
  }
  return out;
}

absl::StatusOr<std::vector<QueryMatcher>> BuildQueries(
    const google::protobuf::RepeatedPtrField<v3::QueryParameterMatcher>& configs) {
  std::vector<QueryMatcher> out;
  for (const auto& config : configs) {
    auto matcher = QueryMatcher::Build(config);
    if (!matcher.ok()) return matcher.status();
    out.push_back(*std::move(matcher));
  }
  return out;
}

// "10.1.0.0/16": the network of a client.
std::string Masked(const Address& address, uint32_t v4_bits, uint32_t v6_bits) {
  uint8_t bytes[16];
  const bool v4 = address.family() == AF_INET;
  const size_t size = v4 ? 4 : 16;
  const uint32_t bits = v4 ? v4_bits : v6_bits;
  if (v4) {
    std::memcpy(bytes, &address.v4().sin_addr, size);
  } else {
    std::memcpy(bytes, &address.v6().sin6_addr, size);
  }
  for (size_t i = 0; i < size; ++i) {
    const uint32_t kept = std::min<uint32_t>(8, bits > i * 8 ? bits - i * 8 : 0);
    bytes[i] &= static_cast<uint8_t>(0xff00u >> kept);
  }
  Address masked;
  if (v4) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    std::memcpy(&in.sin_addr, bytes, size);
    masked = Address::From(reinterpret_cast<const sockaddr*>(&in), sizeof in);
  } else {
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    std::memcpy(&in.sin6_addr, bytes, size);
    masked = Address::From(reinterpret_cast<const sockaddr*>(&in), sizeof in);
  }
  return Cat(masked.IpString(), "/", bits);
}

template <class Config>
void FillMetadata(const Config& config, std::string* key, std::string* name, MetadataPath* path,
                  std::string* otherwise) {
  *key = config.descriptor_key();
  *name = config.metadata_key().key();
  *path = MetadataPath(config.metadata_key().path());
  *otherwise = config.default_value();
}

void FillMasks(const Proto::MaskedRemoteAddress& config, uint32_t* v4_bits, uint32_t* v6_bits) {
  if (config.has_v4_prefix_mask_len()) *v4_bits = config.v4_prefix_mask_len().value();
  if (config.has_v6_prefix_mask_len()) *v6_bits = config.v6_prefix_mask_len().value();
}

}  // namespace

// The actions that ask whether a request matches.
absl::StatusOr<RateLimits::Action> RateLimits::BuildMatch(const Proto& config) {
  Action action;
  const auto fill = [&action](const auto& match, std::string_view usual_key) {
    action.key = OrElse(match.descriptor_key(), usual_key);
    action.value = match.descriptor_value();
    action.expect_match = !match.has_expect_match() || match.expect_match().value();
  };
  if (config.has_header_value_match()) {
    action.kind = Kind::kHeadersMatch;
    fill(config.header_value_match(), "header_match");
    auto headers = BuildHeaders(config.header_value_match().headers());
    if (!headers.ok()) return headers.status();
    action.headers = *std::move(headers);
    return action;
  }
  action.kind = Kind::kQueriesMatch;
  fill(config.query_parameter_value_match(), "query_match");
  auto queries = BuildQueries(config.query_parameter_value_match().query_parameters());
  if (!queries.ok()) return queries.status();
  action.queries = *std::move(queries);
  return action;
}

absl::StatusOr<RateLimits::Action> RateLimits::BuildAction(const Proto& config,
                                                           const std::string& own_cluster) {
  Action action;
  switch (config.action_specifier_case()) {
    case Proto::kSourceCluster:
      action.key = "source_cluster";
      action.value = own_cluster;
      break;
    case Proto::kDestinationCluster:
      action.kind = Kind::kDestinationCluster;
      action.key = "destination_cluster";
      break;
    case Proto::kRequestHeaders:
      action.kind = Kind::kHeader;
      action.key = config.request_headers().descriptor_key();
      action.name = ToLower(config.request_headers().header_name());
      action.skip_if_absent = config.request_headers().skip_if_absent();
      break;
    case Proto::kQueryParameters:
      action.kind = Kind::kQuery;
      action.key = config.query_parameters().descriptor_key();
      action.name = config.query_parameters().query_parameter_name();
      action.skip_if_absent = config.query_parameters().skip_if_absent();
      break;
    case Proto::kRemoteAddress:
      action.kind = Kind::kRemoteAddress;
      action.key = "remote_address";
      break;
    case Proto::kMaskedRemoteAddress:
      action.kind = Kind::kMaskedAddress;
      action.key = "masked_remote_address";
      FillMasks(config.masked_remote_address(), &action.v4_bits, &action.v6_bits);
      break;
    case Proto::kGenericKey:
      action.key = OrElse(config.generic_key().descriptor_key(), "generic_key");
      action.value = config.generic_key().descriptor_value();
      break;
    case Proto::kDynamicMetadata:
      action.kind = Kind::kMetadata;
      FillMetadata(config.dynamic_metadata(), &action.key, &action.name, &action.metadata_path,
                   &action.value);
      break;
    case Proto::kMetadata:
      action.kind = Kind::kMetadata;
      FillMetadata(config.metadata(), &action.key, &action.name, &action.metadata_path,
                   &action.value);
      action.skip_if_absent = config.metadata().skip_if_absent();
      break;
    case Proto::kHeaderValueMatch:
    case Proto::kQueryParameterValueMatch:
      return BuildMatch(config);
    case Proto::ACTION_SPECIFIER_NOT_SET:
      return Invalid("an action is required");
  }
  return action;
}

RateLimits RateLimits::Build(const Protos& configs, std::string_view path,
                             const std::string& own_cluster, config::Diagnostics& diagnostics) {
  RateLimits limits;
  for (int i = 0; i < configs.size(); ++i) {
    const v3::RateLimit& config = configs[i];
    Limit limit;
    limit.stage = config.stage().value();
    if (config.hits_addend().has_number()) limit.hits = config.hits_addend().number().value();
    for (int j = 0; j < config.actions_size(); ++j) {
      auto action = BuildAction(config.actions(j), own_cluster);
      if (action.ok()) {
        limit.actions.push_back(*std::move(action));
      } else {
        diagnostics.Error(Cat(path, "[", i, "].actions[", j, "]"), Std(action.status().message()));
      }
    }
    limits.limits_.push_back(std::move(limit));
  }
  return limits;
}

RateLimits::Found RateLimits::Evaluate(const Action& action, RequestHead& head,
                                       const Exchange& exchange, RateLimitDescriptor* out) {
  std::optional<std::string_view> value;
  switch (action.kind) {
    case Kind::kConstant:
      value = action.value;
      break;
    case Kind::kDestinationCluster:
      if (exchange.route() != nullptr) {
        if (const auto name = exchange.route()->ClusterFor(head); !name.empty()) value = name;
      }
      break;
    case Kind::kHeader:
      value = head.Get(action.name);
      break;
    case Kind::kQuery:
      value = QueryParameter(head.path, action.name);
      break;
    case Kind::kRemoteAddress:
      if (exchange.remote_address().is_ip())
        value = head.arena.Copy(exchange.remote_address().IpString());
      break;
    case Kind::kMaskedAddress:
      if (exchange.remote_address().is_ip())
        value = head.arena.Copy(Masked(exchange.remote_address(), action.v4_bits, action.v6_bits));
      break;
    case Kind::kHeadersMatch: {
      const bool all = std::all_of(action.headers.begin(), action.headers.end(),
                                   [&](const HeaderMatcher& m) { return m.Matches(head); });
      if (all == action.expect_match) value = action.value;
      break;
    }
    case Kind::kQueriesMatch: {
      const bool all = std::all_of(action.queries.begin(), action.queries.end(),
                                   [&](const QueryMatcher& m) { return m.Matches(head.path); });
      if (all == action.expect_match) value = action.value;
      break;
    }
    case Kind::kMetadata: {
      const auto* found = action.metadata_path.Find(exchange.metadata(action.name));
      std::string_view text = found == nullptr ? std::string_view() : found->string_value();
      if (text.empty()) text = action.value;
      if (!text.empty()) value = text;
      break;
    }
  }
  if (!value.has_value()) return action.skip_if_absent ? Found::kSkipped : Found::kNothing;
  out->entries.push_back({action.key, *value});
  return Found::kEntry;
}

void RateLimits::Describe(uint32_t stage, RequestHead& head, const Exchange& exchange,
                          RateLimitDescriptors* out) const {
  for (const Limit& limit : limits_) {
    if (limit.stage != stage) continue;
    RateLimitDescriptor descriptor;
    descriptor.hits = limit.hits;
    const bool complete =
        std::all_of(limit.actions.begin(), limit.actions.end(), [&](const Action& action) {
          return Evaluate(action, head, exchange, &descriptor) != Found::kNothing;
        });
    if (complete && !descriptor.entries.empty()) out->push_back(std::move(descriptor));
  }
}

}  // namespace sluice
