// GET /stats/prometheus: metrics as families with labels, written by prometheus-cpp. Main thread,
// under the store's mutex.
#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

#include "prometheus/metric_family.h"
#include "prometheus/text_serializer.h"
#include "source/base/strings.h"
#include "source/observe/stats/prometheus_names.h"
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
                   const ConventionalName& unit, prometheus::ClientMetric::Histogram* histogram) {
  histogram->sample_count = snapshot.count;
  histogram->sample_sum = unit.Convert(static_cast<double>(snapshot.sum));
  for (const double bound : bounds) {
    histogram->bucket.push_back({snapshot.CountAtMost(bound), unit.Convert(bound)});
  }
  histogram->bucket.push_back({snapshot.count, std::numeric_limits<double>::infinity()});
}

void FillSummary(const HistogramSnapshot& snapshot, const ConventionalName& unit,
                 prometheus::ClientMetric::Summary* summary) {
  summary->sample_count = snapshot.count;
  summary->sample_sum = unit.Convert(static_cast<double>(snapshot.sum));
  for (const double percentile : kPercentiles)
    // By whole numbers: 99.9 / 100 is not the nearest number to 0.999, and prints otherwise.
    summary->quantile.push_back(
        {std::round(percentile * 10) / 1000, unit.Convert(Percentile(snapshot, percentile))});
}

prometheus::ClientMetric Series(const Metric& metric, bool summary, const ConventionalName& unit) {
  prometheus::ClientMetric series;
  switch (metric.type) {
    case Type::kCounter:
      series.counter.value = unit.Convert(static_cast<double>(Read(metric.counter)));
      break;
    case Type::kGauge:
      series.gauge.value = unit.Convert(static_cast<double>(Read(metric.gauge)));
      if (Read(metric.gauge) == kNoLimit) series.gauge.value = kHighest;
      break;
    case Type::kHistogram:
      if (summary) {
        FillSummary(Read(metric.histogram), unit, &series.summary);
      } else {
        FillHistogram(Read(metric.histogram), *metric.bounds, unit, &series.histogram);
      }
      break;
    case Type::kTextReadout:
      series.label.push_back({"text_value", metric.text});
      break;
  }
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

// The families of a page, by name.
class Families {
 public:
  Families(bool conventional, bool summary) : conventional_(conventional), summary_(summary) {}

  void Add(const Metric& metric) {
    const std::string source = Sanitized(metric.tagged_name);
    const ConventionalName name = conventional_ ? ConventionalNameOf(metric, source)
                                                : ConventionalName{Cat("envoy_", source), ""};
    const prometheus::MetricType type = FamilyType(metric.type, summary_);
    const std::string full = conventional_ ? Distinct(name, source, type) : OfType(name.stem, type);
    Family& family = families_[full];
    family.source = source;
    family.content.name = full;
    family.content.help = Cat("Statistic ", metric.tagged_name);
    family.content.type = type;
    prometheus::ClientMetric series = Series(metric, summary_, name);
    for (const auto& [tag, value] : metric.tags)
      series.label.push_back({conventional_ ? SnakeCase(Sanitized(tag)) : Sanitized(tag), value});
    std::sort(series.label.begin(), series.label.end());
    // Two tags may become one name, which a series has once.
    for (size_t i = 1; i < series.label.size(); ++i) {
      if (series.label[i].name == series.label[i - 1].name) series.label[i].name += "_2";
    }
    family.content.metric.push_back(std::move(series));
  }

  std::vector<prometheus::MetricFamily> Take() {
    std::vector<prometheus::MetricFamily> list;
    for (auto& [name, family] : families_) {
      DropRepeated(&family.content.metric);
      list.push_back(std::move(family.content));
    }
    return list;
  }

 private:
  struct Family {
    std::string source;  // the metrics' own name
    prometheus::MetricFamily content;
  };

  // One name cannot have two types in Prometheus.
  std::string OfType(const std::string& name, prometheus::MetricType type) const {
    const auto it = families_.find(name);
    if (it == families_.end() || it->second.content.type == type) return name;
    return Cat(name, type == prometheus::MetricType::Gauge     ? "_gauge"
                     : type == prometheus::MetricType::Counter ? "_counter"
                                                               : "_histogram");
  }

  // Nor do two metrics of other names become one.
  std::string Distinct(const ConventionalName& name, const std::string& source,
                       prometheus::MetricType type) const {
    std::string full = Cat(name.stem, name.suffix);
    for (int number = 2;; ++number) {
      const auto it = families_.find(full);
      if (it == families_.end() || (it->second.source == source && it->second.content.type == type))
        return full;
      full = Cat(name.stem, "_", number, name.suffix);
    }
  }

  const bool conventional_, summary_;
  std::map<std::string, Family> families_;
};

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
  const bool conventional = query.names == "prometheus";
  if (!conventional && !query.names.empty() && query.names != "envoy")
    return Invalid("usage: /stats/prometheus?names=(envoy|prometheus)");
  Families families(conventional, summary);
  Visit([&](const Metric& metric) {
    if (!selection->Has(metric) || (metric.type == Type::kTextReadout && !query.text_readouts)) {
      return;
    }
    families.Add(metric);
  });
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families.Take());
  std::string page = out.str();
  for (size_t at = 0; (at = page.find(kHighestText, at)) != std::string::npos;)
    page.replace(at, kHighestText.size(), Cat(" ", UINT64_MAX, "\n"));
  return page;
}

}  // namespace sluice::stats
