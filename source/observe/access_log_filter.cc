// The filters of access logs. Built on the main thread; immutable then, called on the workers.
#include <algorithm>
#include <vector>

#include "source/base/strings.h"
#include "source/observe/access_log_config.h"
#include "source/observe/match.h"

namespace sluice {
namespace {

using Config = envoy::config::accesslog::v3::AccessLogFilter;
using envoy::config::accesslog::v3::ComparisonFilter;

class Comparison {
 public:
  explicit Comparison(const ComparisonFilter& config)
      : op_(config.op()), value_(config.value().default_value()) {}

  bool Holds(uint64_t actual) const {
    switch (op_) {
      case ComparisonFilter::EQ:
        return actual == value_;
      case ComparisonFilter::GE:
        return actual >= value_;
      case ComparisonFilter::LE:
        return actual <= value_;
      case ComparisonFilter::NE:
        return actual != value_;
      default:
        return false;
    }
  }

 private:
  const ComparisonFilter::Op op_;
  const uint64_t value_;
};

class StatusCode final : public AccessLogFilter {
 public:
  explicit StatusCode(const ComparisonFilter& config) : comparison_(config) {}
  bool Matches(const LogContext& context) const override {
    const ResponseHead* head = context.exchange.response_head();
    return comparison_.Holds(head == nullptr ? 0 : static_cast<uint64_t>(head->status));
  }

 private:
  const Comparison comparison_;
};

class LongerThan final : public AccessLogFilter {
 public:
  explicit LongerThan(const ComparisonFilter& config) : comparison_(config) {}
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
                              config::Diagnostics& diagnostics) {
  std::vector<AccessLogFilterPtr> built;
  const std::string list = config::ChildPath(path, "filters");
  for (int i = 0; i < filters.size(); ++i) {
    built.push_back(BuildAccessLogFilter(
        filters[i], config::ElementPath(list, static_cast<size_t>(i)), diagnostics));
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
                                        config::Diagnostics& diagnostics) {
  switch (config.filter_specifier_case()) {
    case Config::kStatusCodeFilter:
      return std::make_unique<StatusCode>(config.status_code_filter().comparison());
    case Config::kDurationFilter:
      return std::make_unique<LongerThan>(config.duration_filter().comparison());
    case Config::kAndFilter:
      return BuildGroup(true, config.and_filter().filters(), config::ChildPath(path, "and_filter"),
                        diagnostics);
    case Config::kOrFilter:
      return BuildGroup(false, config.or_filter().filters(), config::ChildPath(path, "or_filter"),
                        diagnostics);
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
