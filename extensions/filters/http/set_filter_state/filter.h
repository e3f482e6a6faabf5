// envoy.filters.http.set_filter_state: puts values from a request into its filter state, where
// other filters, clusters and logs find them. Immutable; shared by all workers.
#pragma once

#include <string>
#include <vector>

#include "source/extension/registry.h"
#include "source/observe/format/formatter.h"

namespace sluice {

class SetFilterState final : public Filter {
 public:
  struct Value {
    std::string name;
    Formatter format;
    bool skip_if_empty = false;
  };
  explicit SetFilterState(std::vector<Value> values) : values_(std::move(values)) {}

  Task<Response> Handle(Request request, Exchange& exchange, Next next) const override;

 private:
  const std::vector<Value> values_;
};

/// Makes the filter known.
void RegisterSetFilterState(Registry& registry);

}  // namespace sluice
