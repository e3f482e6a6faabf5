// Hashing requests. Built on the main thread, used on the workers.
#include "source/router/hash_policy.h"

#include <algorithm>
#include <bit>

#include "absl/strings/str_format.h"
#include "source/base/hash.h"
#include "source/base/strings.h"
#include "source/config/durations.h"
#include "source/observe/match/match.h"
#include "source/router/cookie.h"
#include "source/router/route_action.h"

namespace sluice {
namespace {

using Config = envoy::config::route::v3::RouteAction::HashPolicy;

// What follows the value of a cookie that we give.
std::string AttributesOf(const Config::Cookie& cookie) {
  std::string text;
  const Duration ttl = config::ToDuration(cookie.ttl());
  if (ttl > Duration::zero()) text = Cat("; Max-Age=", Milliseconds(ttl) / 1000);
  if (!cookie.path().empty()) AppendTo(&text, "; Path=", cookie.path());
  for (const auto& attribute : cookie.attributes()) {
    AppendTo(&text, "; ", attribute.name());
    if (!attribute.value().empty()) AppendTo(&text, "=", attribute.value());
  }
  return text + "; HttpOnly";
}

}  // namespace

std::shared_ptr<const HashPolicies> HashPolicies::Build(const Configs& configs,
                                                        const std::string& path,
                                                        config::Diagnostics& diagnostics) {
  if (configs.empty()) return nullptr;
  auto made = std::make_shared<HashPolicies>();
  for (int i = 0; i < configs.size(); ++i) {
    const Config& config = configs[i];
    const std::string element = config::ElementPath(path, i);
    Policy policy;
    policy.terminal = config.terminal();
    switch (config.policy_specifier_case()) {
      case Config::kHeader:
        policy.name = ToLower(config.header().header_name());
        if (config.header().has_regex_rewrite()) {
          policy.rewrite =
              BuildRegexRewrite(config.header().regex_rewrite(),
                                config::ChildPath(element, "header.regex_rewrite"), diagnostics);
        }
        break;
      case Config::kCookie:
        policy.kind = Policy::Kind::kCookie;
        policy.name = config.cookie().name();
        policy.gives_cookie = config.cookie().has_ttl();
        policy.attributes = AttributesOf(config.cookie());
        break;
      case Config::kConnectionProperties:
        policy.kind = Policy::Kind::kSourceIp;
        if (!config.connection_properties().source_ip()) continue;
        break;
      case Config::kQueryParameter:
        policy.kind = Policy::Kind::kQuery;
        policy.name = config.query_parameter().name();
        break;
      case Config::kFilterState:
        policy.kind = Policy::Kind::kFilterState;
        policy.name = config.filter_state().key();
        break;
      case Config::POLICY_SPECIFIER_NOT_SET:
        diagnostics.Error(element, "a hash policy needs to say what it hashes");
        continue;
    }
    made->policies_.push_back(std::move(policy));
  }
  return made;
}

std::optional<uint64_t> HashPolicies::Hash(const RequestHead& head, const Exchange& exchange,
                                           SetCookies* set_cookies) const {
  std::optional<uint64_t> hash;
  for (const Policy& policy : policies_) {
    if (const auto next = HashOne(policy, head, exchange, set_cookies))
      hash = hash.has_value() ? std::rotl(*hash, 1) ^ *next : *next;
    if (policy.terminal && hash.has_value()) break;
  }
  return hash;
}

std::optional<uint64_t> HashPolicies::HashHeader(const Policy& policy, const RequestHead& head) {
  const bool pseudo = policy.name.starts_with(':') || policy.name == "host";
  std::vector<std::string_view> values;
  if (pseudo) {
    if (const auto value = head.Get(policy.name)) values.push_back(*value);
  } else {
    for (const Header& header : head.headers) {
      if (header.name == policy.name) values.push_back(header.value);
    }
  }
  if (values.empty()) return std::nullopt;
  std::sort(values.begin(), values.end());  // Their order says nothing.
  uint64_t hash = 0;
  for (const std::string_view value : values) {
    if (policy.rewrite.has_value()) {
      std::string text(value);
      RE2::GlobalReplace(&text, *policy.rewrite->regex, policy.rewrite->substitution);
      hash = Hash64(text, hash);
    } else {
      hash = Hash64(value, hash);
    }
  }
  return hash;
}

std::optional<uint64_t> HashPolicies::HashCookie(const Policy& policy, const RequestHead& head,
                                                 const Exchange& exchange,
                                                 SetCookies* set_cookies) {
  // An empty one is as good as none.
  if (const auto value = Cookie(head, policy.name); value.has_value() && !value->empty())
    return Hash64(*value);
  if (!policy.gives_cookie || set_cookies == nullptr) return std::nullopt;
  const ConnectionFacts& connection = exchange.connection();
  const uint64_t seed =
      Hash64(Cat(exchange.remote_address().ToString(), connection.local.ToString()));
  const std::string value = Cat(absl::Hex(seed, absl::kZeroPad16));
  set_cookies->push_back(Cat(policy.name, "=\"", value, "\"", policy.attributes));
  return Hash64(value);
}

std::optional<uint64_t> HashPolicies::HashOne(const Policy& policy, const RequestHead& head,
                                              const Exchange& exchange, SetCookies* set_cookies) {
  switch (policy.kind) {
    case Policy::Kind::kHeader:
      return HashHeader(policy, head);
    case Policy::Kind::kCookie:
      return HashCookie(policy, head, exchange, set_cookies);
    case Policy::Kind::kSourceIp:
      if (!exchange.remote_address().is_ip()) return std::nullopt;
      return Hash64(exchange.remote_address().IpString());
    case Policy::Kind::kQuery: {
      const auto value = QueryParameter(head.path, policy.name);
      return value.has_value() ? std::optional(Hash64(*value)) : std::nullopt;
    }
    case Policy::Kind::kFilterState: {
      const FilterStateObject* object = exchange.filter_state(policy.name);
      return object == nullptr ? std::nullopt : std::optional(Hash64(object->ToString()));
    }
  }
  return std::nullopt;
}

}  // namespace sluice
