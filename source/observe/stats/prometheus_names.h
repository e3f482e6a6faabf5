// Names of metrics as the conventions of Prometheus ask for them, which are not Envoy's: counters
// end in `_total` and nothing else does, times are in seconds. Pure functions, any thread.
#pragma once

#include <string>
#include <string_view>

#include "source/observe/stats/stats.h"

namespace sluice::stats {

/// What a metric is called, and in which unit it is told.
struct ConventionalName {
  std::string stem;            // "envoy_cluster_upstream_rq"
  std::string_view suffix;     // "_total", "_seconds"
  double times = 1, over = 1;  // the factor of its values

  double Convert(double value) const { return value * times / over; }
};

/// `name`: that of the metric without its tags, of letters, digits and underscores only. What is
/// counted for each status code ("upstream_rq" and a tag) is "..._by_code_total", since "..._total"
/// is another counter. Of what users name, a word that Prometheus takes for a unit or a type gets a
/// zero behind it.
ConventionalName ConventionalNameOf(const Metric& metric, std::string_view name);

/// "myCache" is "my_cache".
std::string SnakeCase(std::string_view name);

}  // namespace sluice::stats
