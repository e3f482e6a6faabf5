// The conventions are those that `promtool check metrics` knows. Any thread.
#include "source/observe/stats/prometheus_names.h"

#include <algorithm>
#include <vector>

#include "source/base/strings.h"

namespace sluice::stats {
namespace {

// Units that are none of Prometheus's, and what looks like one of them or like a type.
constexpr std::string_view kReserved[] = {
    "s",       "ms",        "us",      "ns",    "sec",  "b",        "kb",      "mb",
    "gb",      "tb",        "pb",      "m",     "h",    "d",        "counter", "gauge",
    "summary", "histogram", "minutes", "hours", "days", "weeks",    "kelvins", "fahrenheit",
    "rankine", "inches",    "yards",   "miles", "bits", "calories", "pounds",  "ounces"};
// With a prefix they are no base units any more.
constexpr std::string_view kUnits[] = {"amperes", "bytes",      "celsius",  "grams",  "joules",
                                       "kelvin",  "meters",     "metres",   "moles",  "seconds",
                                       "volts",   "minutes",    "hours",    "days",   "weeks",
                                       "kelvins", "fahrenheit", "rankine",  "inches", "yards",
                                       "miles",   "bits",       "calories", "pounds", "ounces"};
constexpr std::string_view kPrefixes[] = {"pico", "nano",  "micro", "milli", "centi", "deci",
                                          "deca", "hecto", "kilo",  "kibi",  "mega",  "mibi",
                                          "giga", "gibi",  "tera",  "tebi",  "peta",  "pebi"};

template <size_t kSize>
bool IsOneOf(std::string_view word, const std::string_view (&words)[kSize]) {
  return std::find(std::begin(words), std::end(words), word) != std::end(words);
}

bool IsReserved(std::string_view word) {
  if (IsOneOf(word, kReserved)) return true;
  return std::any_of(std::begin(kPrefixes), std::end(kPrefixes), [&](std::string_view prefix) {
    return word.starts_with(prefix) && IsOneOf(word.substr(prefix.size()), kUnits);
  });
}

std::vector<std::string> WordsOf(std::string_view name) {
  std::vector<std::string> words;
  while (true) {
    const size_t end = std::min(name.find('_'), name.size());
    words.emplace_back(name.substr(0, end));
    if (end == name.size()) return words;
    name.remove_prefix(end + 1);
  }
}

bool HasTag(const Metric& metric, std::string_view name) {
  return std::any_of(metric.tags.begin(), metric.tags.end(),
                     [&](const auto& tag) { return tag.first == name; });
}

}  // namespace

std::string SnakeCase(std::string_view name) {
  std::string out;
  for (const char c : name) {
    const bool is_upper = c >= 'A' && c <= 'Z';
    if (is_upper && !out.empty() && out.back() >= 'a' && out.back() <= 'z') out += '_';
    out += ToLower(c);
  }
  return out;
}

ConventionalName ConventionalNameOf(const Metric& metric, std::string_view name) {
  ConventionalName result;
  std::vector<std::string> words = WordsOf(SnakeCase(name));
  const auto ends = [&](std::string_view word) { return words.size() > 1 && words.back() == word; };
  const bool is_counter = metric.type == Type::kCounter;
  bool in_seconds = false;
  if (ends("ms")) {
    words.pop_back();
    in_seconds = true;
  } else if (metric.type == Type::kHistogram) {
    in_seconds = ends("time") || ends("delay");
  }
  if (in_seconds) result.over = 1000;
  if (metric.name == "server.days_until_first_cert_expiring") {
    std::replace(words.begin(), words.end(), std::string("days"), std::string("seconds"));
    result.times = 86400;
  }
  while (ends("total")) words.pop_back();
  if (ends("count") || ends("sum") || ends("bucket")) words.push_back("value");
  result.stem = "envoy";
  for (const std::string& word : words)
    AppendTo(&result.stem, "_", word, IsReserved(word) ? "0" : "");
  if (is_counter && HasTag(metric, "envoy.response_code")) result.stem += "_by_code";
  result.suffix =
      is_counter ? (in_seconds ? "_seconds_total" : "_total") : (in_seconds ? "_seconds" : "");
  return result;
}

}  // namespace sluice::stats
