// The inputs of matchers, and predicates over them. Worker threads, but for what is built.
#include <algorithm>

#include "api/envoy/extensions/matching/common_inputs/network/v3/network_inputs.pb.h"
#include "api/envoy/extensions/matching/input_matchers/ip/v3/ip.pb.h"
#include "api/envoy/type/matcher/v3/http_inputs.pb.h"
#include "source/extension/rbac/match_tree.h"
#include "source/net/address_range.h"
#include "source/observe/match/match.h"

namespace sluice {
namespace {

namespace network = envoy::extensions::matching::common_inputs::network::v3;
namespace http = envoy::type::matcher::v3;
using IpMatcher = envoy::extensions::matching::input_matchers::ip::v3::Ip;
using Extension = xds::core::v3::TypedExtensionConfig;
using Predicate = MatchTree::Proto::MatcherList::Predicate;
using MaybeText = std::optional<std::string_view>;
using InputPtr = std::unique_ptr<const MatchInput>;
using Scratch = MatchInput::Scratch;

template <class Function>
class TextInput final : public MatchInput {
 public:
  explicit TextInput(Function function) : function_(std::move(function)) {}
  MaybeText Text(const RbacSubject& subject, Scratch& scratch) const override {
    return function_(subject, scratch);
  }

 private:
  const Function function_;
};
template <class Function>
InputPtr MakeInput(Function function) {
  return std::make_unique<TextInput<Function>>(std::move(function));
}

class AddressInput final : public MatchInput {
 public:
  using Which = const Address& (*)(const RbacSubject&);
  explicit AddressInput(Which which) : which_(which) {}
  MaybeText Text(const RbacSubject& subject, Scratch& scratch) const override {
    const Address& address = which_(subject);
    if (!address.is_ip()) return std::nullopt;
    scratch = address.IpString();
    return scratch;
  }
  const Address* Ip(const RbacSubject& subject) const override { return &which_(subject); }
  bool is_address() const override { return true; }

 private:
  const Which which_;
};

const Address& Local(const RbacSubject& subject) {
  return subject.connection.local;
}
const Address& Remote(const RbacSubject& subject) {
  return subject.remote;
}
const Address& DirectRemote(const RbacSubject& subject) {
  return subject.connection.direct_remote();
}

template <AddressInput::Which which>
MaybeText Port(const RbacSubject& subject, Scratch& scratch) {
  if (!which(subject).is_ip()) return std::nullopt;
  scratch = Cat(which(subject).port());
  return scratch;
}

// "local" of a client on the same host, as Envoy has it.
MaybeText SourceType(const RbacSubject& subject, Scratch&) {
  const Address& remote = subject.remote;
  const Address& local = subject.connection.local;
  const bool same_host =
      !remote.is_ip() || remote.is_loopback() || remote.WithPort(0) == local.WithPort(0);
  return same_host ? MaybeText("local") : std::nullopt;
}

template <class Proto>
bool Holds(const Extension& config, Proto* proto) {
  return config.typed_config().Is<Proto>() && config.typed_config().UnpackTo(proto);
}

template <class Proto>
bool Holds(const Extension& config) {
  return config.typed_config().Is<Proto>();
}

InputPtr HeaderInput(const http::HttpRequestHeaderMatchInput& config) {
  return MakeInput([name = ToLower(config.header_name())](const RbacSubject& subject, Scratch&) {
    const bool pseudo = name.starts_with(':') || name == "host";
    return pseudo ? subject.head->Get(name) : subject.head->headers.GetJoined(name);
  });
}

// Inputs that only a request has; null without a report when `config` is none of them.
InputPtr BuildRequestInput(const Extension& config) {
  if (http::HttpRequestHeaderMatchInput header; Holds(config, &header)) return HeaderInput(header);
  if (http::HttpRequestQueryParamMatchInput query; Holds(config, &query)) {
    return MakeInput([name = query.query_param()](const RbacSubject& subject, Scratch&) {
      return QueryParameter(subject.head->path, name);
    });
  }
  if (network::FilterStateInput state; Holds(config, &state)) {
    return MakeInput(
        [key = state.key()](const RbacSubject& subject, Scratch& scratch) -> MaybeText {
          const FilterStateObject* object = subject.exchange->filter_state(key);
          if (object == nullptr) return std::nullopt;
          scratch = object->ToString();
          return scratch;
        });
  }
  return nullptr;
}

// Is the input's address in one of the ranges?
class InRanges final : public Condition {
 public:
  InRanges(InputPtr input, std::vector<CidrRange> ranges)
      : input_(std::move(input)), ranges_(std::move(ranges)) {}
  bool Holds(const RbacSubject& subject) const override {
    const Address* address = input_->Ip(subject);
    return std::any_of(ranges_.begin(), ranges_.end(),
                       [address](const CidrRange& range) { return range.Contains(*address); });
  }

 private:
  const InputPtr input_;
  const std::vector<CidrRange> ranges_;
};

class TextMatches final : public Condition {
 public:
  TextMatches(InputPtr input, StringMatcher matcher)
      : input_(std::move(input)), matcher_(std::move(matcher)) {}
  bool Holds(const RbacSubject& subject) const override {
    Scratch scratch;
    const auto text = input_->Text(subject, scratch);
    return text.has_value() && matcher_.Matches(*text);
  }

 private:
  const InputPtr input_;
  const StringMatcher matcher_;
};

class Several final : public Condition {
 public:
  Several(std::vector<ConditionPtr> inner, bool all) : inner_(std::move(inner)), all_(all) {}
  bool Holds(const RbacSubject& subject) const override {
    for (const ConditionPtr& one : inner_) {
      if (one->Holds(subject) != all_) return !all_;
    }
    return all_;
  }

 private:
  const std::vector<ConditionPtr> inner_;
  const bool all_;  // or any
};

class Opposite final : public Condition {
 public:
  explicit Opposite(ConditionPtr inner) : inner_(std::move(inner)) {}
  bool Holds(const RbacSubject& subject) const override { return !inner_->Holds(subject); }

 private:
  const ConditionPtr inner_;
};

// The same fields under the name of the other API.
absl::StatusOr<StringMatcher> BuildText(const xds::type::matcher::v3::StringMatcher& config) {
  envoy::type::matcher::v3::StringMatcher same;
  using Config = xds::type::matcher::v3::StringMatcher;
  same.set_ignore_case(config.ignore_case());
  switch (config.match_pattern_case()) {
    case Config::kExact:
      same.set_exact(config.exact());
      break;
    case Config::kPrefix:
      same.set_prefix(config.prefix());
      break;
    case Config::kSuffix:
      same.set_suffix(config.suffix());
      break;
    case Config::kContains:
      same.set_contains(config.contains());
      break;
    case Config::kSafeRegex:
      same.mutable_safe_regex()->set_regex(config.safe_regex().regex());
      break;
    case Config::MATCH_PATTERN_NOT_SET:
      break;
  }
  return StringMatcher::Build(same);
}

ConditionPtr BuildCustom(const Extension& config, InputPtr input, const std::string& path,
                         const RbacBuild& build) {
  IpMatcher ip;
  if (!Holds(config, &ip)) {
    build.Error(path, "the only custom_match here is envoy.matching.matchers.ip");
    return nullptr;
  }
  if (!input->is_address()) {
    build.Error(path, "envoy.matching.matchers.ip needs an input that is an address");
    return nullptr;
  }
  std::vector<CidrRange> ranges;
  for (int i = 0; i < ip.cidr_ranges_size(); ++i) {
    auto range =
        CidrRange::Make(ip.cidr_ranges(i).address_prefix(), ip.cidr_ranges(i).prefix_len().value());
    if (!range.ok()) {
      build.Error(Cat(path, ".typed_config.cidr_ranges[", i, "]"), Std(range.status().message()));
      return nullptr;
    }
    ranges.push_back(*range);
  }
  return std::make_unique<InRanges>(std::move(input), std::move(ranges));
}

ConditionPtr BuildSingle(const Predicate::SinglePredicate& config, const std::string& path,
                         const RbacBuild& build) {
  InputPtr input = BuildMatchInput(config.input(), path + ".input", build);
  if (input == nullptr) return nullptr;
  if (config.has_custom_match())
    return BuildCustom(config.custom_match(), std::move(input), path + ".custom_match", build);
  auto matcher = BuildText(config.value_match());
  if (!matcher.ok()) {
    build.Error(path + ".value_match", Std(matcher.status().message()));
    return nullptr;
  }
  return std::make_unique<TextMatches>(std::move(input), *std::move(matcher));
}

ConditionPtr BuildSeveral(const Predicate::PredicateList& config, bool all, const std::string& path,
                          const RbacBuild& build) {
  std::vector<ConditionPtr> inner;
  for (int i = 0; i < config.predicate_size(); ++i) {
    auto one = BuildPredicate(config.predicate(i), Cat(path, ".predicate[", i, "]"), build);
    if (one == nullptr) return nullptr;
    inner.push_back(std::move(one));
  }
  return std::make_unique<Several>(std::move(inner), all);
}

}  // namespace

std::unique_ptr<const MatchInput> BuildMatchInput(const Extension& config, const std::string& path,
                                                  const RbacBuild& build) {
  if (Holds<network::DestinationIPInput>(config)) return std::make_unique<AddressInput>(Local);
  if (Holds<network::SourceIPInput>(config)) return std::make_unique<AddressInput>(Remote);
  if (Holds<network::DirectSourceIPInput>(config))
    return std::make_unique<AddressInput>(DirectRemote);
  if (Holds<network::DestinationPortInput>(config)) return MakeInput(Port<Local>);
  if (Holds<network::SourcePortInput>(config)) return MakeInput(Port<Remote>);
  if (Holds<network::SourceTypeInput>(config)) return MakeInput(SourceType);
  if (Holds<network::ServerNameInput>(config)) {
    return MakeInput([](const RbacSubject& subject, Scratch&) -> MaybeText {
      const std::string& name = subject.connection.found().requested_server_name;
      return name.empty() ? std::nullopt : MaybeText(name);
    });
  }
  if (InputPtr input = BuildRequestInput(config)) {
    if (build.http) return input;
    build.Error(path, "only a request has this input, and here are connections");
    return nullptr;
  }
  build.Error(path, Cat("no input ", config::Quoted(config.typed_config().type_url()),
                        " for RBAC matchers"));
  return nullptr;
}

ConditionPtr BuildPredicate(const Predicate& config, const std::string& path,
                            const RbacBuild& build) {
  switch (config.match_type_case()) {
    case Predicate::kSinglePredicate:
      return BuildSingle(config.single_predicate(), path + ".single_predicate", build);
    case Predicate::kOrMatcher:
      return BuildSeveral(config.or_matcher(), false, path + ".or_matcher", build);
    case Predicate::kAndMatcher:
      return BuildSeveral(config.and_matcher(), true, path + ".and_matcher", build);
    case Predicate::kNotMatcher: {
      auto inner = BuildPredicate(config.not_matcher(), path + ".not_matcher", build);
      return inner == nullptr ? nullptr : std::make_unique<Opposite>(std::move(inner));
    }
    case Predicate::MATCH_TYPE_NOT_SET:
      build.Error(path, "a predicate must say what to match");
  }
  return nullptr;
}

}  // namespace sluice
