// What a /stats query selects, shared by the text, JSON and Prometheus writers. Values, used under
// the store's mutex.
#pragma once

#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "re2/re2.h"
#include "source/observe/stats/stats.h"

namespace sluice::stats {

/// How a histogram is printed.
enum class HistogramForm { kPercentiles, kCumulative, kDisjoint, kDetailed };

inline constexpr double kPercentiles[] = {0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100};

/// What ?histogram_buckets= asks for; InvalidArgument with the list of what may be.
absl::StatusOr<HistogramForm> HistogramFormOf(const std::string& name);

/// The value below which that share (in percent) lies, to one decimal: more digits would pretend
/// more than a bin knows. NaN without values.
double Percentile(const HistogramSnapshot& snapshot, double percentile);

class Selection {
 public:
  /// InvalidArgument with Envoy's text if the filter or the type is not valid.
  static absl::StatusOr<Selection> Of(const StatsQuery& query);

  /// Whether `metric` is asked for. Reads it if only used ones are.
  bool Has(const Metric& metric) const;

 private:
  bool used_only_ = false;
  bool invert_ = false;
  std::optional<Type> type_;
  std::shared_ptr<const re2::RE2> filter_;
};

}  // namespace sluice::stats
