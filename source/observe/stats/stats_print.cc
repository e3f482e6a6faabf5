// GET /stats as text and as JSON, in Envoy's form. Main thread, under the store's mutex.
#include <charconv>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "source/base/strings.h"
#include "source/observe/format/json_string.h"
#include "source/observe/stats/stats_select.h"

namespace sluice::stats {
namespace {

std::string Number(double value) {
  char text[32];
  return std::string(text, std::to_chars(text, text + sizeof(text), value).ptr);
}

std::string PercentileText(const HistogramSnapshot& snapshot, double percentile) {
  const double value = Percentile(snapshot, percentile);
  return std::isnan(value) ? "nan" : Number(value);
}

std::string PercentileJson(const HistogramSnapshot& snapshot, double percentile) {
  const double value = Percentile(snapshot, percentile);
  return std::isnan(value) ? "null" : Number(value);
}

struct Bucket {
  double bound;
  uint64_t interval, total;
};

// The counts of the buckets, each one alone or with all below it. The last one, above all bounds,
// is left out.
std::vector<Bucket> BucketsOf(const Metric& metric, const HistogramSnapshot& all,
                              HistogramForm form) {
  std::vector<Bucket> buckets;
  Bucket below{};
  for (const double bound : *metric.bounds) {
    const Bucket up_to{bound, metric.interval.CountAtMost(bound), all.CountAtMost(bound)};
    buckets.push_back(up_to);
    if (form != HistogramForm::kCumulative) {
      buckets.back().interval -= below.interval;
      buckets.back().total -= below.total;
    }
    below = up_to;
  }
  return buckets;
}

void AppendPercentilesText(const HistogramSnapshot& interval, const HistogramSnapshot& all,
                           std::string* out) {
  const char* separator = "";
  for (const double percentile : kPercentiles) {
    AppendTo(out, separator, "P", Number(percentile), "(", PercentileText(interval, percentile),
             ",", PercentileText(all, percentile), ")");
    separator = " ";
  }
}

// The first whole number that falls into the bin.
uint64_t FirstOf(const HistogramSnapshot::Bin& bin) {
  return bin.upper == 0 ? 0 : bin.lower + 1;
}

// What is in each bin: its lower bound, its width, its count.
void AppendBinsText(const HistogramSnapshot& snapshot, std::string* out) {
  const char* separator = "";
  for (const HistogramSnapshot::Bin& bin : snapshot.bins) {
    AppendTo(out, separator, FirstOf(bin), ",", bin.upper - bin.lower, ":", bin.count);
    separator = ", ";
  }
}

void AppendHistogramText(const Metric& metric, HistogramForm form, std::string* out) {
  const HistogramSnapshot all = Read(metric.histogram);
  AppendTo(out, metric.name, ":");
  if (all.count == 0) {
    out->append(" No recorded values\n");
    return;
  }
  if (form == HistogramForm::kPercentiles) {
    out->push_back(' ');
    AppendPercentilesText(metric.interval, all, out);
  } else if (form == HistogramForm::kDetailed) {
    out->append("\n  totals=");
    AppendBinsText(all, out);
    out->append("\n  intervals=");
    AppendBinsText(metric.interval, out);
    out->append("\n  summary=");
    AppendPercentilesText(metric.interval, all, out);
  } else {
    for (const Bucket& bucket : BucketsOf(metric, all, form))
      AppendTo(out, " B", absl::StrCat(bucket.bound), "(", bucket.interval, ",", bucket.total, ")");
  }
  out->push_back('\n');
}

void AppendPercentilesJson(const HistogramSnapshot& interval, const HistogramSnapshot& all,
                           std::string* out) {
  const char* separator = "";
  for (const double percentile : kPercentiles) {
    AppendTo(out, separator, "{\"interval\":", PercentileJson(interval, percentile),
             ",\"cumulative\":", PercentileJson(all, percentile), "}");
    separator = ",";
  }
}

void AppendBinsJson(const HistogramSnapshot& snapshot, std::string* out) {
  const char* separator = "";
  for (const HistogramSnapshot::Bin& bin : snapshot.bins) {
    AppendTo(out, separator, "{\"lower_bound\":", FirstOf(bin),
             ",\"width\":", bin.upper - bin.lower, ",\"count\":", bin.count, "}");
    separator = ",";
  }
}

void AppendHistogramJson(const Metric& metric, HistogramForm form, std::string* out) {
  const HistogramSnapshot all = Read(metric.histogram);
  out->append("{\"name\":");
  AppendJsonString(metric.name, out);
  if (form == HistogramForm::kPercentiles) {
    out->append(",\"values\":[");
    AppendPercentilesJson(metric.interval, all, out);
  } else if (form == HistogramForm::kDetailed) {
    out->append(",\"totals\":[");
    AppendBinsJson(all, out);
    out->append("],\"intervals\":[");
    AppendBinsJson(metric.interval, out);
    out->append("],\"percentiles\":[");
    AppendPercentilesJson(metric.interval, all, out);
  } else {
    const char* separator = "";
    out->append(",\"buckets\":[");
    for (const Bucket& bucket : BucketsOf(metric, all, form)) {
      AppendTo(out, separator, "{\"upper_bound\":", Number(bucket.bound),
               ",\"interval\":", bucket.interval, ",\"cumulative\":", bucket.total, "}");
      separator = ",";
    }
  }
  out->append("]}");
}

std::string ScalarValue(const Metric& metric) {
  if (metric.type == Type::kCounter) return Cat(Read(metric.counter));
  const int64_t value = Read(metric.gauge);
  return value == kNoLimit ? Cat(UINT64_MAX) : Cat(value);
}

// {"supported_quantiles":[...],"computed_quantiles":[...]} or, for buckets, a plain list.
std::string HistogramsJson(const std::string& items, HistogramForm form) {
  if (form == HistogramForm::kCumulative || form == HistogramForm::kDisjoint) {
    return Cat("[", items, "]");
  }
  const bool detailed = form == HistogramForm::kDetailed;
  std::string result = detailed ? "{\"supported_percentiles\":[" : "{\"supported_quantiles\":[";
  const char* separator = "";
  for (const double percentile : kPercentiles) {
    AppendTo(&result, separator, Number(percentile));
    separator = ",";
  }
  AppendTo(&result, detailed ? "],\"details\":[" : "],\"computed_quantiles\":[", items, "]}");
  return result;
}

}  // namespace

absl::StatusOr<HistogramForm> HistogramFormOf(const std::string& name) {
  if (name.empty() || name == "none" || name == "summary") return HistogramForm::kPercentiles;
  if (name == "cumulative") return HistogramForm::kCumulative;
  if (name == "disjoint") return HistogramForm::kDisjoint;
  if (name == "detailed") return HistogramForm::kDetailed;
  return Invalid("usage: /stats?histogram_buckets=(cumulative|disjoint|detailed|summary)");
}

double Percentile(const HistogramSnapshot& snapshot, double percentile) {
  return std::round(snapshot.Quantile(percentile / 100) * 10) / 10;
}

absl::StatusOr<Selection> Selection::Of(const StatsQuery& query) {
  Selection selection;
  selection.used_only_ = query.used_only;
  selection.invert_ = query.invert_filter;
  if (!query.filter.empty()) {
    re2::RE2::Options options;
    options.set_log_errors(false);
    auto filter = std::make_shared<re2::RE2>(query.filter, options);
    if (!filter->ok()) {
      return Invalid("Invalid re2 regex: ", filter->error());
    }
    selection.filter_ = std::move(filter);
  }
  if (query.type == "Counters") {
    selection.type_ = Type::kCounter;
  } else if (query.type == "Gauges") {
    selection.type_ = Type::kGauge;
  } else if (query.type == "Histograms") {
    selection.type_ = Type::kHistogram;
  } else if (query.type == "TextReadouts") {
    selection.type_ = Type::kTextReadout;
  } else if (!query.type.empty() && query.type != "All") {
    return Invalid("invalid &type= param");
  }
  return selection;
}

bool Selection::Has(const Metric& metric) const {
  if ((type_ && *type_ != metric.type) ||
      (filter_ && re2::RE2::PartialMatch(metric.name, *filter_) == invert_)) {
    return false;
  }
  if (!used_only_) {
    return true;
  }
  switch (metric.type) {
    case Type::kCounter:
      return metric.was_used || Read(metric.counter) != 0;
    case Type::kGauge:
      return IsUsed(metric.gauge);
    case Type::kHistogram:
      return Read(metric.histogram).count != 0;
    case Type::kTextReadout:
      return !metric.text.empty();
  }
  return true;
}

absl::StatusOr<std::string> Store::StatsText(const StatsQuery& query) const {
  const absl::StatusOr<Selection> selection = Selection::Of(query);
  if (!selection.ok()) {
    return selection.status();
  }
  const absl::StatusOr<HistogramForm> form = HistogramFormOf(query.histogram_buckets);
  if (!form.ok()) {
    return form.status();
  }
  // Texts first and histograms last, as Envoy's users know it.
  std::string texts, scalars, histograms;
  Visit([&](const Metric& metric) {
    if (!selection->Has(metric)) {
      return;
    }
    if (metric.type == Type::kTextReadout) {
      AppendTo(&texts, metric.name, ": \"", metric.text, "\"\n");
    } else if (metric.type == Type::kHistogram) {
      AppendHistogramText(metric, *form, &histograms);
    } else {
      AppendTo(&scalars, metric.name, ": ", ScalarValue(metric), "\n");
    }
  });
  return Cat(texts, scalars, histograms);
}

absl::StatusOr<std::string> Store::StatsJson(const StatsQuery& query) const {
  const absl::StatusOr<Selection> selection = Selection::Of(query);
  if (!selection.ok()) {
    return selection.status();
  }
  const absl::StatusOr<HistogramForm> form = HistogramFormOf(query.histogram_buckets);
  if (!form.ok()) {
    return form.status();
  }
  std::string texts, scalars, histograms;
  const auto begin = [](std::string* list, const Metric& metric) {
    list->append("{\"name\":");
    AppendJsonString(metric.name, list);
    list->append(",\"value\":");
  };
  Visit([&](const Metric& metric) {
    if (!selection->Has(metric)) {
      return;
    }
    if (metric.type == Type::kTextReadout) {
      begin(&texts, metric);
      AppendJsonString(metric.text, &texts);
      texts.append("},");
    } else if (metric.type == Type::kHistogram) {
      histograms.append(histograms.empty() ? "" : ",");
      AppendHistogramJson(metric, *form, &histograms);
    } else {
      begin(&scalars, metric);
      AppendTo(&scalars, ScalarValue(metric), "},");
    }
  });
  std::string items = Cat(texts, scalars);
  if (!histograms.empty()) {
    AppendTo(&items, "{\"histograms\":", HistogramsJson(histograms, *form), "}");
  } else if (!items.empty()) {
    items.pop_back();  // the comma
  }
  return Cat("{\"stats\":[", items, "]}");
}

}  // namespace sluice::stats
