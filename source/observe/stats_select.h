// What a /stats query selects, shared by the text, JSON and Prometheus writers. Values, used under
// the store's mutex.
#pragma once

#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "re2/re2.h"
#include "source/observe/stats.h"

namespace sluice::stats {

/// The upper bounds of Envoy's default histogram buckets, in milliseconds.
inline constexpr double kBuckets[] = {0.5,   1,      5,      10,      25,     50,    100,
                                      250,   500,    1000,   2500,    5000,   10000, 30000,
                                      60000, 300000, 600000, 1800000, 3600000};

class Selection {
 public:
  /// InvalidArgument with Envoy's text if the filter or the type is not valid.
  static absl::StatusOr<Selection> Of(const StatsQuery& query);

  /// Whether `metric` is asked for. Reads it if only used ones are.
  bool Has(const Metric& metric) const;

 private:
  bool used_only_ = false;
  std::optional<Type> type_;
  std::shared_ptr<const re2::RE2> filter_;
};

}  // namespace sluice::stats
