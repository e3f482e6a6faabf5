// Snapshot publishing: the main thread makes an immutable value and hands it to every worker by
// message; a worker reads its own pointer. No lock and no shared cache line is touched when a
// request reads it.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "source/async/worker.h"

namespace sluice {

/// A counted reference that is copied on one thread only: no atomic operation.
template <class T>
class LocalRef {
 public:
  LocalRef() = default;
  explicit LocalRef(std::shared_ptr<const T> value) : node_(new Node{std::move(value), 1}) {}
  LocalRef(const LocalRef& other) : node_(other.node_) {
    if (node_ != nullptr) ++node_->references;
  }
  LocalRef(LocalRef&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
  LocalRef& operator=(LocalRef other) noexcept {
    std::swap(node_, other.node_);
    return *this;
  }
  ~LocalRef() {
    if (node_ != nullptr && --node_->references == 0) delete node_;
  }

  const T* get() const { return node_ == nullptr ? nullptr : node_->value.get(); }
  const T* operator->() const { return get(); }
  const T& operator*() const { return *get(); }
  explicit operator bool() const { return get() != nullptr; }

 private:
  struct Node {
    std::shared_ptr<const T> value;
    uint32_t references;
  };
  Node* node_ = nullptr;
};

/// One value of type T as every worker sees it.
template <class T>
class Published {
 public:
  explicit Published(size_t workers) : slots_(workers) {}

  /// Main thread, before the workers start: sets the first value everywhere.
  void Initialize(const std::shared_ptr<const T>& value) {
    for (Slot& slot : slots_) slot.value = LocalRef<T>(value);
  }
  /// Main thread: hands `value` to each worker; each sees it after it has served what was posted to
  /// it before.
  void Publish(const std::vector<std::unique_ptr<Worker>>& workers,
               const std::shared_ptr<const T>& value) {
    for (const auto& worker : workers) {
      worker->Post([this, value, index = worker->index()]() mutable {
        slots_[index].value = LocalRef<T>(std::move(value));
      });
    }
  }
  /// Worker thread: the value of now; keep a copy of the reference to keep the value.
  const LocalRef<T>& Get(const Worker& worker) const { return slots_[worker.index()].value; }

 private:
  struct alignas(64) Slot {
    LocalRef<T> value;
  };
  std::vector<Slot> slots_;
};

}  // namespace sluice
