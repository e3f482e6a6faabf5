// Linked: a doubly linked list whose links are part of its elements: it allocates nothing, and an
// element leaves it in O(1) without knowing it. A list is a pointer to its first element. Each
// belongs to one thread.
#pragma once

namespace sluice {

/// Derive as `class Thing : public Linked<Thing>`. An element is in one list at most, and leaves it
/// when it is destroyed.
template <class T>
class Linked {
 public:
  Linked() = default;
  Linked(const Linked&) = delete;
  Linked& operator=(const Linked&) = delete;
  ~Linked() { Unlink(); }

  /// Puts this, which is in no list, at the head of one.
  void LinkTo(T*& head) {
    next_ = head;
    previous_ = &head;
    if (next_ != nullptr) LinksOf(*next_).previous_ = &next_;
    head = static_cast<T*>(this);
  }
  /// Leaves the list; nothing when it is in none.
  void Unlink() {
    if (previous_ == nullptr) return;
    *previous_ = next_;
    if (next_ != nullptr) LinksOf(*next_).previous_ = previous_;
    next_ = nullptr;
    previous_ = nullptr;
  }
  bool linked() const { return previous_ != nullptr; }
  /// The element behind this one; null at the end.
  T* next() const { return next_; }

  /// The pointer to the first element was copied: the list hangs on the copy from now on.
  static void Rehang(T*& head) {
    if (head != nullptr) LinksOf(*head).previous_ = &head;
  }

 private:
  static Linked& LinksOf(T& element) { return element; }

  T* next_ = nullptr;
  T** previous_ = nullptr;  // the pointer that points here
};

}  // namespace sluice
