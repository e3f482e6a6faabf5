// GET /stats/prometheus: metrics as families with labels, written by prometheus-cpp. Main thread,
// under the store's mutex.
#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

#include "prometheus/metric_family.h"
#include "prometheus/text_serializer.h"
#include "source/base/strings.h"
#include "source/observe/stats/stats_select.h"

namespace sluice::stats {
namespace {

// Stands for kNoLimit: 2^64, of which the serialiser writes one digit too few to be read as that.
constexpr double kHighest = 18446744073709551616.0;
constexpr std::string_view kHighestText = " 1.844674407370955e+19\n";

bool IsNameByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// Every other byte becomes an underscore; a label starts with a letter or underscore.
std::string Sanitized(std::string_view name) {
  std::string result(name);
  for (char& c : result) {
    c = IsNameByte(c) ? c : '_';
  }
  if (!result.empty() && result[0] >= '0' && result[0] <= '9') {
    result.insert(0, "_");
  }
  return result;
}

prometheus::MetricType FamilyType(Type type, bool summary) {
  switch (type) {
    case Type::kCounter:
      return prometheus::MetricType::Counter;
    case Type::kHistogram:
      return summary ? prometheus::MetricType::Summary : prometheus::MetricType::Histogram;
    case Type::kGauge:
    case Type::kTextReadout:
      break;
  }
  return prometheus::MetricType::Gauge;
}

void FillHistogram(const HistogramSnapshot& snapshot, const std::vector<double>& bounds,
                   prometheus::ClientMetric::Histogram* histogram) {
  histogram->sample_count = snapshot.count;
  histogram->sample_sum = static_cast<double>(snapshot.sum);
  for (const double bound : bounds) {
    histogram->bucket.push_back({snapshot.CountAtMost(bound), bound});
  }
  histogram->bucket.push_back({snapshot.count, std::numeric_limits<double>::infinity()});
}

void FillSummary(const HistogramSnapshot& snapshot, prometheus::ClientMetric::Summary* summary) {
  summary->sample_count = snapshot.count;
  summary->sample_sum = static_cast<double>(snapshot.sum);
  for (const double percentile : kPercentiles)
    // By whole numbers: 99.9 / 100 is not the nearest number to 0.999, and prints otherwise.
    summary->quantile.push_back(
        {std::round(percentile * 10) / 1000, Percentile(snapshot, percentile)});
}

prometheus::ClientMetric Series(const Metric& metric, bool summary) {
  prometheus::ClientMetric series;
  for (const auto& [name, value] : metric.tags) {
    series.label.push_back({Sanitized(name), value});
  }
  switch (metric.type) {
    case Type::kCounter:
      series.counter.value = static_cast<double>(Read(metric.counter));
      break;
    case Type::kGauge:
      series.gauge.value = static_cast<double>(Read(metric.gauge));
      if (Read(metric.gauge) == kNoLimit) series.gauge.value = kHighest;
      break;
    case Type::kHistogram:
      if (summary) {
        FillSummary(Read(metric.histogram), &series.summary);
      } else {
        FillHistogram(Read(metric.histogram), *metric.bounds, &series.histogram);
      }
      break;
    case Type::kTextReadout:
      series.label.push_back({"text_value", metric.text});
      break;
  }
  std::sort(series.label.begin(), series.label.end());
  return series;
}

// Names that differ only in bytes that Prometheus does not know ("a-b", "a_b") fall together: the
// first one stays, since a scraper refuses a whole page with one series twice.
void DropRepeated(std::vector<prometheus::ClientMetric>* series) {
  std::stable_sort(series->begin(), series->end(),
                   [](const auto& a, const auto& b) { return a.label < b.label; });
  series->erase(std::unique(series->begin(), series->end(),
                            [](const auto& a, const auto& b) { return a.label == b.label; }),
                series->end());
}

}  // namespace

absl::StatusOr<std::string> Store::StatsPrometheus(const StatsQuery& query) const {
  const absl::StatusOr<Selection> selection = Selection::Of(query);
  if (!selection.ok()) {
    return selection.status();
  }
  const std::string& buckets = query.histogram_buckets;
  const bool summary = buckets == "summary" || buckets == "none";
  if (!summary && !buckets.empty() && buckets != "cumulative")
    return Invalid("usage: /stats/prometheus?histogram_buckets=(cumulative|summary|none)");
  std::map<std::string, prometheus::MetricFamily> families;
  Visit([&](const Metric& metric) {
    if (!selection->Has(metric) || (metric.type == Type::kTextReadout && !query.text_readouts)) {
      return;
    }
    std::string name = Cat("envoy_", Sanitized(metric.tagged_name));
    const prometheus::MetricType type = FamilyType(metric.type, summary);
    auto it = families.find(name);
    if (it != families.end() && it->second.type != type) {
      // One name cannot have two types in Prometheus.
      name += type == prometheus::MetricType::Gauge     ? "_gauge"
              : type == prometheus::MetricType::Counter ? "_counter"
                                                        : "_histogram";
    }
    prometheus::MetricFamily& family = families[name];
    family.name = name;
    family.help = Cat("Statistic ", metric.tagged_name);
    family.type = type;
    family.metric.push_back(Series(metric, summary));
  });
  std::vector<prometheus::MetricFamily> list;
  for (auto& [name, family] : families) {
    DropRepeated(&family.metric);
    list.push_back(std::move(family));
  }
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, list);
  std::string page = out.str();
  for (size_t at = 0; (at = page.find(kHighestText, at)) != std::string::npos;)
    page.replace(at, kHighestText.size(), Cat(" ", UINT64_MAX, "\n"));
  return page;
}

}  // namespace sluice::stats
