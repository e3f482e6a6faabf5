// Names and tags of metrics: the registry behind stats.h. Under the store's mutex; handles count on
// any thread.
#include "source/observe/stats/stats.h"

#include <algorithm>

#include "source/base/strings.h"
#include "source/observe/stats/stats_settings.h"

namespace sluice::stats {
namespace {

constexpr size_t kMaxLookUps = 1000;

std::string Join(std::string_view prefix, std::string_view name) {
  if (prefix.empty() || name.empty()) {
    return std::string(prefix.empty() ? name : prefix);
  }
  return Cat(prefix, ".", name);
}

// Envoy's names never have a colon: an address or a cluster "a:1" would be cut by tools that split
// at it.
std::string WithoutColons(std::string_view name) {
  std::string result(name);
  std::replace(result.begin(), result.end(), ':', '_');
  return result;
}

// In a marked name every byte that a tag took is NUL, so that places are those of the full name.
constexpr char kTaken = '\0';

std::string WithoutTaken(std::string_view full, std::string_view marked) {
  std::string name;
  for (size_t at = 0; at < marked.size();) {
    if (marked[at] != kTaken) {
      name.push_back(marked[at++]);
      continue;
    }
    const size_t end = std::min(marked.find_first_not_of(kTaken, at), marked.size());
    // A built-in tag takes the dot before its value, a regular expression mostly the one behind it:
    // where both took the same value what stands around it is still two words.
    const bool parts = end - at > 1 && full[at] == '.' && full[end - 1] == '.';
    if (parts && end < marked.size() && marked[end] != '.') name.push_back('.');
    at = end;
  }
  return name.substr(std::min(name.find_first_not_of('.'), name.size()));
}

// Takes the response code out of "upstream_rq_200" (to become "upstream_rq") and the class out of
// "upstream_rq_2xx" (to become "upstream_rq_xx").
template <class Extracts>
void TakeResponseCode(const Extracts& extracts, std::string* marked, Tags* tags) {
  constexpr std::string_view kMark = "_rq_";
  constexpr size_t kCodeLength = 3;
  if (marked->size() < kMark.size() + kCodeLength) return;
  const size_t at = marked->size() - kCodeLength;
  const std::string code = marked->substr(at);
  if (std::string_view(*marked).substr(at - kMark.size(), kMark.size()) != kMark ||
      !IsDigit(code[0])) {
    return;
  }
  if (IsDigit(code[1]) && IsDigit(code[2]) && extracts("envoy.response_code")) {
    tags->emplace_back("envoy.response_code", code);
    std::fill(marked->begin() + static_cast<std::ptrdiff_t>(at) - 1, marked->end(), kTaken);
  } else if (code.substr(1) == "xx" && extracts("envoy.response_code_class")) {
    tags->emplace_back("envoy.response_code_class", code.substr(0, 1));
    (*marked)[at] = kTaken;
  }
}

// Takes the number out of "server.worker_0.watchdog_miss" (to become
// "server.worker_watchdog_miss") and of "listener.<address>.worker_0.downstream_cx_total". The word
// stays: sums over the listeners' own figures must not meet those of workers.
template <class Extracts>
void TakeWorker(const Extracts& extracts, std::string* marked, Tags* tags) {
  constexpr std::string_view kWord = ".worker_";
  // An address behind "listener" has been taken by now, with the dot before it.
  if (!marked->starts_with("server.") && !marked->starts_with("listener")) return;
  const size_t word = marked->find(kWord);
  if (word == marked->npos) return;
  const size_t begin = word + kWord.size(), dot = marked->find('.', begin);
  const std::string number = dot == marked->npos ? "" : marked->substr(begin, dot - begin);
  if (number.empty() || number.find_first_not_of("0123456789") != number.npos ||
      !extracts(tag::kWorkerId))
    return;
  tags->emplace_back(tag::kWorkerId, number);
  std::fill(marked->begin() + static_cast<std::ptrdiff_t>(begin),
            marked->begin() + static_cast<std::ptrdiff_t>(dot) + 1, kTaken);
}

const std::vector<double>& BoundsFor(std::string_view name, const StoreSettings& settings) {
  // Envoy's, in milliseconds.
  static const auto& defaults = *new std::vector<double>{
      0.5,  1,    5,     10,    25,    50,     100,    250,     500,    1000,
      2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000};
  for (const StoreSettings::Buckets& buckets : settings.buckets) {
    if (buckets.matches(name)) return buckets.bounds;
  }
  return defaults;
}

void FreeSlots(const Metric& metric) {
  Free(metric.counter);  // a default handle is ignored
  Free(metric.gauge);
  Free(metric.histogram);
}

}  // namespace

Store::Store() : Store(StoreSettings()) {}

Store::Store(StoreSettings settings)
    : settings_(std::make_unique<const StoreSettings>(std::move(settings))) {}

Store::~Store() {
  for (const auto& [key, metric] : metrics_) {
    FreeSlots(*metric);
  }
}

Scope Store::Root() {
  return Scope(this, std::make_shared<const Scope::Prefix>());
}

bool Store::Extracts(std::string_view tag) const {
  return settings_->extracts == nullptr || settings_->extracts(tag);
}

Metric* Store::Find(Type type, std::string_view prefix, std::string_view marked_prefix,
                    const Tags& tags, std::string_view name) {
  const std::string clean = WithoutColons(name);
  Key key(Join(prefix, clean), type);
  ++lookups_.total;
  if (lookups_.recorded && lookups_.counts.size() < kMaxLookUps) ++lookups_.counts[key.first];
  if (const auto found = metrics_.find(key); found != metrics_.end()) {
    return found->second.get();
  }
  if (settings_->keeps != nullptr && !settings_->keeps(key.first)) {
    return nullptr;
  }
  auto entry = std::make_unique<Metric>();
  entry->type = type;
  entry->name = key.first;
  entry->tags = tags;
  std::string marked = Join(marked_prefix, clean);
  const auto extracts = [this](std::string_view tag) { return Extracts(tag); };
  TakeResponseCode(extracts, &marked, &entry->tags);
  TakeWorker(extracts, &marked, &entry->tags);
  AddCustomTags(entry->name, &marked, &entry->tags);
  entry->tagged_name = WithoutTaken(entry->name, marked);
  switch (type) {
    case Type::kCounter:
      entry->counter = NewCounter();
      break;
    case Type::kGauge:
      entry->gauge = NewGauge();
      break;
    case Type::kHistogram:
      entry->histogram = NewHistogram();
      entry->bounds = &BoundsFor(entry->name, *settings_);
      break;
    case Type::kTextReadout:
      break;
  }
  return metrics_.emplace(std::move(key), std::move(entry)).first->second.get();
}

void Store::AddCustomTags(const std::string& name, std::string* marked, Tags* tags) const {
  for (const StoreSettings::CustomTag& tag : settings_->tags) {
    if (tag.regex == nullptr) {
      tags->emplace_back(tag.name, tag.value);
      continue;
    }
    re2::StringPiece groups[3];
    if (!tag.regex->Match(name, 0, name.size(), re2::RE2::UNANCHORED, groups, 3) ||
        groups[1].empty()) {
      continue;
    }
    tags->emplace_back(tag.name, std::string(groups[2].empty() ? groups[1] : groups[2]));
    std::fill_n(marked->begin() + (groups[1].data() - name.data()), groups[1].size(), kTaken);
  }
}

void Store::Remove(std::string_view prefix) {
  std::lock_guard lock(mutex_);
  const std::string below = Cat(prefix, ".");
  auto it = metrics_.lower_bound({std::string(prefix), Type::kCounter});
  while (it != metrics_.end() && it->first.first.compare(0, prefix.size(), prefix) == 0) {
    const std::string& name = it->first.first;
    if (name == prefix || name.compare(0, below.size(), below) == 0) {
      FreeSlots(*it->second);
      it = metrics_.erase(it);
    } else {
      ++it;  // "cluster.ab" while "cluster.a" is removed
    }
  }
}

void Store::ResetCounters() {
  std::lock_guard lock(mutex_);
  for (const auto& [key, metric] : metrics_) {
    if (metric->type != Type::kCounter) continue;
    metric->was_used = metric->was_used || Read(metric->counter) != 0;
    Reset(metric->counter);
  }
}

void Store::Flush() {
  std::lock_guard lock(mutex_);
  for (const auto& [key, metric] : metrics_) {
    if (metric->type == Type::kHistogram) {
      HistogramSnapshot now = Read(metric->histogram);
      metric->interval = now.Since(metric->at_flush);
      metric->at_flush = std::move(now);
    }
  }
}

Store::LookUps Store::RecentLookUps() const {
  std::lock_guard lock(mutex_);
  return lookups_;
}

void Store::RecordLookUps(bool record) {
  std::lock_guard lock(mutex_);
  lookups_.recorded = record;
  if (!record) lookups_.counts.clear();
}

void Store::ForgetLookUps() {
  std::lock_guard lock(mutex_);
  lookups_.total = 0;
  lookups_.counts.clear();
}

int64_t Store::Value(std::string_view name) const {
  std::lock_guard lock(mutex_);
  if (auto it = metrics_.find({std::string(name), Type::kCounter}); it != metrics_.end()) {
    return static_cast<int64_t>(Read(it->second->counter));
  }
  if (auto it = metrics_.find({std::string(name), Type::kGauge}); it != metrics_.end()) {
    return Read(it->second->gauge);
  }
  return 0;
}

Scope Scope::Sub(std::string_view segment) const {
  return Sub(segment, "");
}

Scope Scope::Sub(std::string_view segment, std::string_view tag_name) const {
  auto below = std::make_shared<Prefix>(*prefix_);
  const std::string clean = WithoutColons(segment);
  below->full = Join(below->full, clean);
  const size_t before = below->marked.size();
  below->marked = Join(below->marked, clean);
  if (!tag_name.empty() && store_->Extracts(tag_name)) {
    below->tags.emplace_back(std::string(tag_name), clean);
    std::fill(below->marked.begin() + static_cast<std::ptrdiff_t>(before), below->marked.end(),
              kTaken);
  }
  return Scope(store_, std::move(below));
}

Counter Scope::counter(std::string_view name) const {
  std::lock_guard lock(store_->mutex_);
  const Metric* metric =
      store_->Find(Type::kCounter, prefix_->full, prefix_->marked, prefix_->tags, name);
  return metric == nullptr ? Counter() : metric->counter;
}

Gauge Scope::gauge(std::string_view name) const {
  std::lock_guard lock(store_->mutex_);
  const Metric* metric =
      store_->Find(Type::kGauge, prefix_->full, prefix_->marked, prefix_->tags, name);
  return metric == nullptr ? Gauge() : metric->gauge;
}

Histogram Scope::histogram(std::string_view name) const {
  std::lock_guard lock(store_->mutex_);
  const Metric* metric =
      store_->Find(Type::kHistogram, prefix_->full, prefix_->marked, prefix_->tags, name);
  return metric == nullptr ? Histogram() : metric->histogram;
}

void Scope::text_readout(std::string_view name, std::string_view value) const {
  std::lock_guard lock(store_->mutex_);
  Metric* metric =
      store_->Find(Type::kTextReadout, prefix_->full, prefix_->marked, prefix_->tags, name);
  if (metric != nullptr) metric->text = value;
}

const std::string& Scope::prefix() const {
  return prefix_->full;
}

}  // namespace sluice::stats
