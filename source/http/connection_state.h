// ConnectionState: what filters keep for as long as a client's connection lives. Belongs to the
// connection's worker.
#pragma once

#include <memory>
#include <utility>
#include <vector>

namespace sluice {

class ConnectionState {
 public:
  /// The value of `owner` (the address of what keeps it); `make` gives its first one as a
  /// std::shared_ptr<T>. There are few, so they are searched in order.
  template <class T, class Make>
  T& Of(const void* owner, Make make) {
    if (values_ == nullptr) values_ = std::make_shared<Values>();
    for (auto& [key, value] : *values_) {
      if (key == owner) return *static_cast<T*>(value.get());
    }
    std::shared_ptr<T> made = make();
    T& result = *made;
    values_->emplace_back(owner, std::move(made));
    return result;
  }

 private:
  using Values = std::vector<std::pair<const void*, std::shared_ptr<void>>>;
  std::shared_ptr<Values> values_;  // null: none, as for most connections
};

}  // namespace sluice
