// How a store names, tags and keeps its metrics. A value; immutable once the store has it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "re2/re2.h"

namespace sluice::stats {

struct StoreSettings {
  struct CustomTag {
    std::string name;
    std::shared_ptr<const re2::RE2> regex;  // one group or two; null: every metric has `value`
    std::string value;
  };
  struct Buckets {
    std::function<bool(std::string_view name)> matches;
    std::vector<double> bounds;  // ascending
  };
  using Predicate = std::function<bool(std::string_view)>;

  std::vector<CustomTag> tags;
  Predicate extracts;            // whether a built-in tag leaves the names; null: all do
  Predicate keeps;               // whether there is a metric of that full name; null: all
  std::vector<Buckets> buckets;  // of histograms; the first that matches wins
};

}  // namespace sluice::stats
