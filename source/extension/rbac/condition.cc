// Compiling permissions and principals. See condition.h for threads.
#include "source/extension/rbac/condition.h"

#include <utility>
#include <vector>

#include "api/envoy/extensions/rbac/matchers/upstream_ip_port/v3/upstream_ip_port_matcher.pb.h"
#include "source/net/address_range.h"
#include "source/observe/match/match.h"
#include "source/observe/match/metadata_match.h"
#include "source/upstream/saved_address.h"

namespace sluice {
namespace {

namespace v3 = envoy::config::rbac::v3;
using UpstreamProto =
    envoy::extensions::rbac::matchers::upstream_ip_port::v3::UpstreamIpPortMatcher;

// A condition that is a function of the subject.
template <class Function>
class Leaf final : public Condition {
 public:
  explicit Leaf(Function function) : function_(std::move(function)) {}
  bool Holds(const RbacSubject& subject) const override { return function_(subject); }

 private:
  const Function function_;
};
template <class Function>
ConditionPtr MakeLeaf(Function function) {
  return std::make_unique<Leaf<Function>>(std::move(function));
}

class All final : public Condition {
 public:
  explicit All(std::vector<ConditionPtr> inner) : inner_(std::move(inner)) {}
  bool Holds(const RbacSubject& subject) const override {
    for (const ConditionPtr& condition : inner_) {
      if (!condition->Holds(subject)) return false;
    }
    return true;
  }

 private:
  const std::vector<ConditionPtr> inner_;
};

class Any final : public Condition {
 public:
  explicit Any(std::vector<ConditionPtr> inner) : inner_(std::move(inner)) {}
  bool Holds(const RbacSubject& subject) const override {
    for (const ConditionPtr& condition : inner_) {
      if (condition->Holds(subject)) return true;
    }
    return false;
  }

 private:
  const std::vector<ConditionPtr> inner_;
};

template <class List, class BuildOne>
std::vector<ConditionPtr> BuildList(const List& configs, const std::string& path,
                                    BuildOne build_one) {
  std::vector<ConditionPtr> out;
  for (int i = 0; i < configs.size(); ++i) {
    // One that is wrong is reported, and then nothing of this is used.
    if (auto one = build_one(configs[i], config::ElementPath(path, i)))
      out.push_back(std::move(one));
  }
  return out;
}

ConditionPtr Not(ConditionPtr inner) {
  if (inner == nullptr) return nullptr;
  return MakeLeaf([inner = std::shared_ptr<const Condition>(std::move(inner))](
                      const RbacSubject& subject) { return !inner->Holds(subject); });
}

// Reports what is wrong with a compiled part; else makes a leaf of it.
template <class T, class Holds>
ConditionPtr Checked(absl::StatusOr<T> part, const std::string& path, const RbacBuild& build,
                     Holds holds) {
  if (!part.ok()) {
    build.Error(path, Std(part.status().message()));
    return nullptr;
  }
  return MakeLeaf([part = *std::move(part), holds](const RbacSubject& subject) {
    return holds(part, subject);
  });
}

bool NeedsRequest(const std::string& path, const RbacBuild& build) {
  if (build.http) return true;
  build.Error(path, "only a request can answer this, and here are connections");
  return false;
}

ConditionPtr OfHeader(const envoy::config::route::v3::HeaderMatcher& config,
                      const std::string& path, const RbacBuild& build) {
  if (!NeedsRequest(path, build)) return nullptr;
  return Checked(HeaderMatcher::Build(config), path, build,
                 [](const HeaderMatcher& matcher, const RbacSubject& subject) {
                   return matcher.Matches(*subject.head);
                 });
}

ConditionPtr UrlPath(const envoy::type::matcher::v3::PathMatcher& config, const std::string& path,
                     const RbacBuild& build) {
  if (!NeedsRequest(path, build)) return nullptr;
  return Checked(StringMatcher::Build(config.path()), path + ".path", build,
                 [](const StringMatcher& matcher, const RbacSubject& subject) {
                   const std::string_view whole = subject.head->path;
                   return matcher.Matches(whole.substr(0, whole.find_first_of("?#")));
                 });
}

ConditionPtr Metadata(const envoy::type::matcher::v3::MetadataMatcher& config,
                      const std::string& path, const RbacBuild& build) {
  if (!NeedsRequest(path, build)) return nullptr;
  return Checked(MetadataMatcher::Build(config), path, build,
                 [](const MetadataMatcher& matcher, const RbacSubject& subject) {
                   return matcher.Matches(*subject.exchange);
                 });
}

ConditionPtr FilterState(const envoy::type::matcher::v3::FilterStateMatcher& config,
                         const std::string& path, const RbacBuild& build) {
  if (!NeedsRequest(path, build)) return nullptr;
  return Checked(StringMatcher::Build(config.string_match()), path + ".string_match", build,
                 [key = config.key()](const StringMatcher& matcher, const RbacSubject& subject) {
                   const FilterStateObject* object = subject.exchange->filter_state(key);
                   return object != nullptr && matcher.Matches(object->ToString());
                 });
}

template <class Which>
ConditionPtr Range(const envoy::config::core::v3::CidrRange& config, const std::string& path,
                   const RbacBuild& build, Which which) {
  return Checked(CidrRange::Make(config.address_prefix(), config.prefix_len().value()), path, build,
                 [which](const CidrRange& range, const RbacSubject& subject) {
                   return range.Contains(which(subject));
                 });
}

const Address& Local(const RbacSubject& subject) {
  return subject.connection.local;
}

ConditionPtr UpstreamIpPort(const UpstreamProto& config, const std::string& path,
                            const RbacBuild& build) {
  if (!config.has_upstream_ip() && !config.has_upstream_port_range()) {
    build.Error(path,
                "Invalid UpstreamIpPortMatcher configuration - missing `upstream_ip` and/or "
                "`upstream_port_range`");
    return nullptr;
  }
  absl::StatusOr<CidrRange> range = CidrRange();
  if (config.has_upstream_ip()) {
    range = CidrRange::Make(config.upstream_ip().address_prefix(),
                            config.upstream_ip().prefix_len().value());
  }
  const auto& ports = config.upstream_port_range();
  const bool by_ip = config.has_upstream_ip(), by_port = config.has_upstream_port_range();
  return Checked(std::move(range), path + ".upstream_ip", build,
                 [by_ip, by_port, start = ports.start(), end = ports.end()](
                     const CidrRange& range, const RbacSubject& subject) {
                   const SavedAddress* saved = SavedAddress::Of(*subject.exchange);
                   if (saved == nullptr) return false;
                   const int64_t port = saved->address().port();
                   return (!by_ip || range.Contains(saved->address())) &&
                          (!by_port || (port >= start && port < end));
                 });
}

ConditionPtr Extension(const envoy::config::core::v3::TypedExtensionConfig& config,
                       const std::string& path, const RbacBuild& build) {
  if (!NeedsRequest(path, build)) return nullptr;
  UpstreamProto upstream;
  if (config.typed_config().Is<UpstreamProto>() && config.typed_config().UnpackTo(&upstream))
    return UpstreamIpPort(upstream, path + ".typed_config", build);
  build.Error(path, "the only matcher here is envoy.rbac.matchers.upstream_ip_port");
  return nullptr;
}

ConditionPtr Always() {
  return MakeLeaf([](const RbacSubject&) { return true; });
}

}  // namespace

ConditionPtr BuildPermission(const v3::Permission& config, const std::string& path,
                             const RbacBuild& build) {
  const auto inner = [&build](const v3::Permission& one, const std::string& its_path) {
    return BuildPermission(one, its_path, build);
  };
  switch (config.rule_case()) {
    case v3::Permission::kAndRules:
      return std::make_unique<All>(
          BuildList(config.and_rules().rules(), path + ".and_rules.rules", inner));
    case v3::Permission::kOrRules:
      return std::make_unique<Any>(
          BuildList(config.or_rules().rules(), path + ".or_rules.rules", inner));
    case v3::Permission::kAny:
      return Always();
    case v3::Permission::kHeader:
      return OfHeader(config.header(), path + ".header", build);
    case v3::Permission::kUrlPath:
      return UrlPath(config.url_path(), path + ".url_path", build);
    case v3::Permission::kDestinationIp:
      return Range(config.destination_ip(), path + ".destination_ip", build, Local);
    case v3::Permission::kDestinationPort:
      return MakeLeaf([port = config.destination_port()](const RbacSubject& subject) {
        return Local(subject).is_ip() && Local(subject).port() == port;
      });
    case v3::Permission::kDestinationPortRange:
      return MakeLeaf([start = config.destination_port_range().start(),
                       end = config.destination_port_range().end()](const RbacSubject& subject) {
        const int32_t port = Local(subject).port();
        return Local(subject).is_ip() && port >= start && port < end;
      });
    case v3::Permission::kMetadata:
      return Metadata(config.metadata(), path + ".metadata", build);
    case v3::Permission::kSourcedMetadata:
      return Metadata(config.sourced_metadata().metadata_matcher(),
                      path + ".sourced_metadata.metadata_matcher", build);
    case v3::Permission::kNotRule:
      return Not(BuildPermission(config.not_rule(), path + ".not_rule", build));
    case v3::Permission::kRequestedServerName:
      return Checked(StringMatcher::Build(config.requested_server_name()),
                     path + ".requested_server_name", build,
                     [](const StringMatcher& matcher, const RbacSubject& subject) {
                       return matcher.Matches(subject.connection.found().requested_server_name);
                     });
    case v3::Permission::kMatcher:
      return Extension(config.matcher(), path + ".matcher", build);
    case v3::Permission::RULE_NOT_SET:
      build.Error(path, "a permission must say what it permits");
  }
  return nullptr;
}

ConditionPtr BuildPrincipal(const v3::Principal& config, const std::string& path,
                            const RbacBuild& build) {
  const auto inner = [&build](const v3::Principal& one, const std::string& its_path) {
    return BuildPrincipal(one, its_path, build);
  };
  const auto direct = [](const RbacSubject& subject) -> const Address& {
    return subject.connection.direct_remote();
  };
  const auto remote = [](const RbacSubject& subject) -> const Address& { return subject.remote; };
  switch (config.identifier_case()) {
    case v3::Principal::kAndIds:
      return std::make_unique<All>(BuildList(config.and_ids().ids(), path + ".and_ids.ids", inner));
    case v3::Principal::kOrIds:
      return std::make_unique<Any>(BuildList(config.or_ids().ids(), path + ".or_ids.ids", inner));
    case v3::Principal::kAny:
      return Always();
    case v3::Principal::kSourceIp:
      return Range(config.source_ip(), path + ".source_ip", build, direct);
    case v3::Principal::kDirectRemoteIp:
      return Range(config.direct_remote_ip(), path + ".direct_remote_ip", build, direct);
    case v3::Principal::kRemoteIp:
      return Range(config.remote_ip(), path + ".remote_ip", build, remote);
    case v3::Principal::kHeader:
      return OfHeader(config.header(), path + ".header", build);
    case v3::Principal::kUrlPath:
      return UrlPath(config.url_path(), path + ".url_path", build);
    case v3::Principal::kMetadata:
      return Metadata(config.metadata(), path + ".metadata", build);
    case v3::Principal::kSourcedMetadata:
      return Metadata(config.sourced_metadata().metadata_matcher(),
                      path + ".sourced_metadata.metadata_matcher", build);
    case v3::Principal::kFilterState:
      return FilterState(config.filter_state(), path + ".filter_state", build);
    case v3::Principal::kNotId:
      return Not(BuildPrincipal(config.not_id(), path + ".not_id", build));
    case v3::Principal::IDENTIFIER_NOT_SET:
      build.Error(path, "a principal must say who it is");
  }
  return nullptr;
}

}  // namespace sluice
