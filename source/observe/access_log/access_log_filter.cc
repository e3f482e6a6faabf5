// The filters of access logs. Built on the main thread; immutable then, called on the workers.
#include <algorithm>
#include <charconv>
#include <vector>

#include "source/base/strings.h"
#include "source/observe/access_log/access_log_config.h"
#include "source/observe/match/match.h"
#include "source/observe/match/metadata_match.h"

namespace sluice {
namespace {

using Config = envoy::config::accesslog::v3::AccessLogFilter;
using envoy::config::accesslog::v3::ComparisonFilter;

class Comparison {
 public:
  Comparison(const ComparisonFilter& config, config::Runtime* runtime)
      : op_(config.op()), value_(config.value(), runtime) {}

  bool Holds(uint64_t actual) const {
    const uint64_t value = value_.Get();
    switch (op_) {
      case ComparisonFilter::EQ:
        return actual == value;
      case ComparisonFilter::GE:
        return actual >= value;
      case ComparisonFilter::LE:
        return actual <= value;
      case ComparisonFilter::NE:
        return actual != value;
      default:
        return false;
    }
  }

 private:
  const ComparisonFilter::Op op_;
  const config::RuntimeUInt32 value_;
};

class StatusCode final : public AccessLogFilter {
 public:
  explicit StatusCode(Comparison comparison) : comparison_(std::move(comparison)) {}
  bool Matches(const LogContext& context) const override {
    const ResponseHead* head = context.exchange.response_head();
    return comparison_.Holds(head == nullptr ? 0 : static_cast<uint64_t>(head->status));
  }

 private:
  const Comparison comparison_;
};

class LongerThan final : public AccessLogFilter {
 public:
  explicit LongerThan(Comparison comparison) : comparison_(std::move(comparison)) {}
  bool Matches(const LogContext& context) const override {
    return comparison_.Holds(static_cast<uint64_t>(Milliseconds(TotalDuration(context.exchange))));
  }

 private:
  const Comparison comparison_;
};

class HasHeader final : public AccessLogFilter {
 public:
  explicit HasHeader(HeaderMatcher matcher) : matcher_(std::move(matcher)) {}
  bool Matches(const LogContext& context) const override {
    const RequestHead* head = context.exchange.request_head();
    return head == nullptr ? matcher_.MatchesValue(std::nullopt) : matcher_.Matches(*head);
  }

 private:
  const HeaderMatcher matcher_;
};

// One of the flags; any flag at all where none is named.
class HasFlag final : public AccessLogFilter {
 public:
  explicit HasFlag(std::vector<ResponseFlag> flags) : flags_(std::move(flags)) {}
  bool Matches(const LogContext& context) const override {
    const ResponseFlags& set = context.exchange.flags();
    return flags_.empty() ? !set.empty()
                          : std::any_of(flags_.begin(), flags_.end(),
                                        [&](ResponseFlag flag) { return set.Has(flag); });
  }

 private:
  const std::vector<ResponseFlag> flags_;
};

class NotHealthCheck final : public AccessLogFilter {
 public:
  bool Matches(const LogContext& context) const override { return !context.exchange.health_check; }
};

// A share of the requests. Without independent randomness the request id decides, so that every
// proxy on the way of a request logs it or none does.
class Sampled final : public AccessLogFilter {
 public:
  Sampled(const envoy::config::accesslog::v3::RuntimeFilter& config, config::Runtime* runtime)
      : share_(runtime, config.runtime_key(), config::Fraction::Of(config.percent_sampled())),
        independent_(config.use_independent_randomness()) {}

  bool Matches(const LogContext& context) const override {
    if (!independent_) {
      if (const auto number = RequestNumber(context)) return share_.Holds(*number);
    }
    return share_.Draw(Worker::Current()->rng());
  }

 private:
  // The first eight hexadecimal digits of the x-request-id.
  static std::optional<uint64_t> RequestNumber(const LogContext& context) {
    const RequestHead* head = context.exchange.request_head();
    const auto id = head == nullptr ? std::nullopt : head->headers.Get(HeaderId::kXRequestId);
    if (!id || id->size() < 8) return std::nullopt;
    uint64_t number = 0;
    const char* end = id->data() + 8;
    const auto parsed = std::from_chars(id->data(), end, number, 16);
    return parsed.ptr == end ? std::optional(number) : std::nullopt;
  }

  const config::RuntimeFraction share_;
  const bool independent_;
};

class HasGrpcStatus final : public AccessLogFilter {
 public:
  explicit HasGrpcStatus(const envoy::config::accesslog::v3::GrpcStatusFilter& config)
      : exclude_(config.exclude()) {
    for (const int status : config.statuses()) statuses_ |= 1u << status;
  }
  bool Matches(const LogContext& context) const override {
    constexpr uint64_t kUnknown = 2;
    const uint64_t status = GrpcStatusOf(context.exchange).value_or(kUnknown);
    return (status < 32 && (statuses_ >> status & 1) != 0) != exclude_;
  }

 private:
  uint32_t statuses_ = 0;  // bit n: status n
  const bool exclude_;
};

class HasLogType final : public AccessLogFilter {
 public:
  explicit HasLogType(const envoy::config::accesslog::v3::LogTypeFilter& config)
      : exclude_(config.exclude()) {
    for (const int type : config.types())
      types_.push_back(envoy::data::accesslog::v3::AccessLogType_Name(type));
  }
  bool Matches(const LogContext& context) const override {
    return (std::find(types_.begin(), types_.end(), context.log_type) != types_.end()) != exclude_;
  }

 private:
  std::vector<std::string> types_;
  const bool exclude_;
};

// Nothing is traced, so nothing is logged, as in an Envoy without tracing.
class Traceable final : public AccessLogFilter {
 public:
  bool Matches(const LogContext&) const override { return false; }
};

class HasMetadata final : public AccessLogFilter {
 public:
  HasMetadata(const envoy::config::accesslog::v3::MetadataFilter& config,
              std::optional<ValueMatcher> value)
      : name_space_(config.matcher().filter()),
        path_(config.matcher().path()),
        value_(std::move(value)),
        invert_(config.matcher().invert()),
        otherwise_(!config.has_match_if_key_not_found() ||
                   config.match_if_key_not_found().value()) {}
  bool Matches(const LogContext& context) const override {
    const google::protobuf::Value* value = path_.Find(context.exchange.metadata(name_space_));
    if (value == nullptr || !value_) return otherwise_;
    return value_->Matches(*value) != invert_;
  }

 private:
  const std::string name_space_;
  const MetadataPath path_;
  const std::optional<ValueMatcher> value_;  // nothing: no matcher is configured
  const bool invert_;
  const bool otherwise_;
};

AccessLogFilterPtr BuildMetadata(const envoy::config::accesslog::v3::MetadataFilter& config,
                                 const std::string& path, config::Diagnostics& diagnostics) {
  if (!config.has_matcher()) return std::make_unique<HasMetadata>(config, std::nullopt);
  absl::StatusOr<ValueMatcher> value = ValueMatcher::Build(config.matcher().value());
  if (!value.ok()) {
    diagnostics.Error(config::ChildPath(path, "matcher.value"), Std(value.status().message()));
    return nullptr;
  }
  return std::make_unique<HasMetadata>(config, *std::move(value));
}

class Group final : public AccessLogFilter {
 public:
  Group(bool all, std::vector<AccessLogFilterPtr> filters)
      : all_(all), filters_(std::move(filters)) {}
  bool Matches(const LogContext& context) const override {
    const auto matches = [&](const AccessLogFilterPtr& filter) { return filter->Matches(context); };
    return all_ ? std::all_of(filters_.begin(), filters_.end(), matches)
                : std::any_of(filters_.begin(), filters_.end(), matches);
  }

 private:
  const bool all_;
  const std::vector<AccessLogFilterPtr> filters_;
};

template <class Filters>
AccessLogFilterPtr BuildGroup(bool all, const Filters& filters, const std::string& path,
                              config::Diagnostics& diagnostics, config::Runtime* runtime) {
  std::vector<AccessLogFilterPtr> built;
  const std::string list = config::ChildPath(path, "filters");
  for (int i = 0; i < filters.size(); ++i) {
    built.push_back(BuildAccessLogFilter(
        filters[i], config::ElementPath(list, static_cast<size_t>(i)), diagnostics, runtime));
    if (built.back() == nullptr) {
      return nullptr;
    }
  }
  return std::make_unique<Group>(all, std::move(built));
}

AccessLogFilterPtr BuildFlags(const envoy::config::accesslog::v3::ResponseFlagFilter& config,
                              const std::string& path, config::Diagnostics& diagnostics) {
  std::vector<ResponseFlag> flags;
  const std::string list = config::ChildPath(path, "flags");
  for (int i = 0; i < config.flags_size(); ++i) {
    const auto names = ResponseFlagNames();
    const auto found = std::find_if(names.begin(), names.end(), [&](const ResponseFlagName& name) {
      return name.short_name == config.flags(i);
    });
    if (found == names.end()) {
      diagnostics.Error(config::ElementPath(list, static_cast<size_t>(i)),
                        Cat("'", config.flags(i), "' is a flag that is never set here"));
      return nullptr;
    }
    flags.push_back(found->flag);
  }
  return std::make_unique<HasFlag>(std::move(flags));
}

}  // namespace

AccessLogFilterPtr BuildAccessLogFilter(const Config& config, std::string_view path,
                                        config::Diagnostics& diagnostics,
                                        config::Runtime* runtime) {
  switch (config.filter_specifier_case()) {
    case Config::kStatusCodeFilter:
      return std::make_unique<StatusCode>(
          Comparison(config.status_code_filter().comparison(), runtime));
    case Config::kDurationFilter:
      return std::make_unique<LongerThan>(
          Comparison(config.duration_filter().comparison(), runtime));
    case Config::kNotHealthCheckFilter:
      return std::make_unique<NotHealthCheck>();
    case Config::kTraceableFilter:
      return std::make_unique<Traceable>();
    case Config::kRuntimeFilter:
      return std::make_unique<Sampled>(config.runtime_filter(), runtime);
    case Config::kGrpcStatusFilter:
      return std::make_unique<HasGrpcStatus>(config.grpc_status_filter());
    case Config::kMetadataFilter:
      return BuildMetadata(config.metadata_filter(), config::ChildPath(path, "metadata_filter"),
                           diagnostics);
    case Config::kLogTypeFilter:
      return std::make_unique<HasLogType>(config.log_type_filter());
    case Config::kAndFilter:
      return BuildGroup(true, config.and_filter().filters(), config::ChildPath(path, "and_filter"),
                        diagnostics, runtime);
    case Config::kOrFilter:
      return BuildGroup(false, config.or_filter().filters(), config::ChildPath(path, "or_filter"),
                        diagnostics, runtime);
    case Config::kHeaderFilter: {
      absl::StatusOr<HeaderMatcher> matcher = HeaderMatcher::Build(config.header_filter().header());
      if (!matcher.ok()) {
        diagnostics.Error(config::ChildPath(path, "header_filter.header"),
                          Std(matcher.status().message()));
        return nullptr;
      }
      return std::make_unique<HasHeader>(*std::move(matcher));
    }
    case Config::kResponseFlagFilter:
      return BuildFlags(config.response_flag_filter(),
                        config::ChildPath(path, "response_flag_filter"), diagnostics);
    case Config::FILTER_SPECIFIER_NOT_SET:
      break;
  }
  diagnostics.Error(path, "names no filter");
  return nullptr;
}

}  // namespace sluice
