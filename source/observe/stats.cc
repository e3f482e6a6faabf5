// Names and tags of metrics: the registry behind stats.h. Under the store's mutex; handles count on
// any thread.
#include "source/observe/stats.h"

#include <algorithm>

#include "source/base/strings.h"

namespace sluice::stats {
namespace {

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

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

// "upstream_rq_200" -> "upstream_rq" and the response code; "upstream_rq_2xx" -> "upstream_rq_xx"
// and the class.
std::string TakeResponseCode(std::string_view name, Tags* tags) {
  constexpr std::string_view kMark = "_rq_";
  constexpr size_t kCodeLength = 3;
  if (name.size() >= kMark.size() + kCodeLength) {
    const std::string_view code = name.substr(name.size() - kCodeLength);
    const std::string_view stem = name.substr(0, name.size() - kCodeLength);
    if (stem.substr(stem.size() - kMark.size()) == kMark && IsDigit(code[0])) {
      if (IsDigit(code[1]) && IsDigit(code[2])) {
        tags->emplace_back("envoy.response_code", code);
        return std::string(stem.substr(0, stem.size() - 1));
      }
      if (code.substr(1) == "xx") {
        tags->emplace_back("envoy.response_code_class", code.substr(0, 1));
        return Cat(stem, "xx");
      }
    }
  }
  return std::string(name);
}

void FreeSlots(const Metric& metric) {
  Free(metric.counter);  // a default handle is ignored
  Free(metric.gauge);
  Free(metric.histogram);
}

}  // namespace

Store::Store() = default;

Store::~Store() {
  for (const auto& [key, metric] : metrics_) {
    FreeSlots(*metric);
  }
}

Scope Store::Root() {
  return Scope(this, std::make_shared<const Scope::Prefix>());
}

Metric& Store::Find(Type type, std::string_view prefix, std::string_view tagged_prefix,
                    const Tags& tags, std::string_view name) {
  const std::string clean = WithoutColons(name);
  std::unique_ptr<Metric>& entry = metrics_[{Join(prefix, clean), type}];
  if (entry != nullptr) {
    return *entry;
  }
  entry = std::make_unique<Metric>();
  entry->type = type;
  entry->name = Join(prefix, clean);
  entry->tags = tags;
  entry->tagged_name = Join(tagged_prefix, TakeResponseCode(clean, &entry->tags));
  switch (type) {
    case Type::kCounter:
      entry->counter = NewCounter();
      break;
    case Type::kGauge:
      entry->gauge = NewGauge();
      break;
    case Type::kHistogram:
      entry->histogram = NewHistogram();
      break;
    case Type::kTextReadout:
      break;
  }
  return *entry;
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
  return Below(segment, "", "");
}

Scope Scope::Sub(std::string_view segment, std::string_view tag_name) const {
  return Below(segment, tag_name, segment);
}

Scope Scope::Sub(std::string_view segment, std::string_view tag_name,
                 std::string_view tag_value) const {
  return Below(segment, tag_name, tag_value);
}

Scope Scope::Below(std::string_view segment, std::string_view tag_name,
                   std::string_view tag_value) const {
  auto below = std::make_shared<Prefix>(*prefix_);
  const std::string clean = WithoutColons(segment);
  below->full = Join(below->full, clean);
  if (tag_name.empty()) {
    below->tagged = Join(below->tagged, clean);
  } else {
    below->tags.emplace_back(std::string(tag_name), WithoutColons(tag_value));
  }
  return Scope(store_, std::move(below));
}

Counter Scope::counter(std::string_view name) const {
  std::lock_guard lock(store_->mutex_);
  return store_->Find(Type::kCounter, prefix_->full, prefix_->tagged, prefix_->tags, name).counter;
}

Gauge Scope::gauge(std::string_view name) const {
  std::lock_guard lock(store_->mutex_);
  return store_->Find(Type::kGauge, prefix_->full, prefix_->tagged, prefix_->tags, name).gauge;
}

Histogram Scope::histogram(std::string_view name) const {
  std::lock_guard lock(store_->mutex_);
  return store_->Find(Type::kHistogram, prefix_->full, prefix_->tagged, prefix_->tags, name)
      .histogram;
}

void Scope::text_readout(std::string_view name, std::string_view value) const {
  std::lock_guard lock(store_->mutex_);
  store_->Find(Type::kTextReadout, prefix_->full, prefix_->tagged, prefix_->tags, name).text =
      value;
}

const std::string& Scope::prefix() const {
  return prefix_->full;
}

}  // namespace sluice::stats
