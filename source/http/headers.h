// Headers: the ordered fields of a message. Names are in lower case; names and values are views
// into memory that the head keeps (its arena, its read buffer, or constants). Belongs to one
// worker.
#pragma once

#include <optional>
#include <string_view>

#include "absl/types/span.h"
#include "source/http/arena.h"
#include "source/http/header_id.h"

namespace sluice {

/// One field. Trivially constructible on purpose: a request must not pay for zeroing a table of
/// them.
struct Header {
  /// What is known of the bytes, so that a writer need not look at them again.
  enum Known : uint8_t {
    kNothing,
    kSafe,  // the name is a token, and the value holds no control byte but HTAB
    kLine,  // and both lie where they were received: name, ":", blanks, value, blanks, CR, LF
  };

  std::string_view name;
  std::string_view value;
  HeaderId id;
  Known known;
};

class Headers {
 public:
  /// `arena` outlives the headers: it holds their table and whatever Set/Append/AddCopy copy.
  explicit Headers(Arena& arena) : arena_(&arena), entries_(reinterpret_cast<Header*>(inside_)) {}
  Headers(const Headers&) = delete;
  Headers& operator=(const Headers&) = delete;

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const Header* begin() const { return entries_; }
  const Header* end() const { return entries_ + size_; }
  const Header& operator[](size_t i) const { return entries_[i]; }

  /// Adds at the end. The views must live as long as the head; `name` is in lower case.
  void Add(HeaderId id, std::string_view name, std::string_view value);
  void Add(HeaderId id, std::string_view value) { Add(id, HeaderName(id), value); }
  /// Adds at the end what is known to be safe to write; see Header::Known.
  void AddKnown(HeaderId id, std::string_view name, std::string_view value, Header::Known known) {
    if (size_ == capacity_) Grow();
    entries_[size_++] = Header{name, value, id, known};
    present_ |= Bit(id);
  }
  void AddSafe(HeaderId id, std::string_view name, std::string_view value) {
    AddKnown(id, name, value, Header::kSafe);
  }
  void AddSafe(HeaderId id, std::string_view value) { AddSafe(id, HeaderName(id), value); }
  /// Adds copies of both; the name may have capitals.
  void AddCopy(std::string_view name, std::string_view value);
  void AddCopy(HeaderId id, std::string_view value) { Add(id, arena_->Copy(value)); }

  /// False when there is no field of those names (Bits()); quick.
  bool MayHave(uint64_t ids) const { return (present_ & ids) != 0; }
  /// The first field of that name; nullopt when there is none. String names are in lower case.
  std::optional<std::string_view> Get(HeaderId id) const {
    const Header* header = MayHave(Bit(id)) ? Find(id, {}) : nullptr;
    return header == nullptr ? std::nullopt : std::optional(header->value);
  }
  std::optional<std::string_view> Get(std::string_view name) const;
  bool Has(HeaderId id) const { return Get(id).has_value(); }
  /// All values of the name joined by "," (RFC 9110 5.2); nullopt when there is none. Copies only
  /// when there are several.
  std::optional<std::string_view> GetJoined(std::string_view name) const {
    return GetJoined(FindHeaderId(name), name);
  }
  std::optional<std::string_view> GetJoined(HeaderId id) const {
    return MayHave(Bit(id)) ? GetJoined(id, {}) : std::nullopt;
  }

  /// Replaces every field of that name by one with a copy of `value`, at the place of the first.
  void Set(HeaderId id, std::string_view value);
  void Set(std::string_view name, std::string_view value);
  /// The same without a copy: `name` and `value` live as long as the head and are safe to write
  /// (Header::kSafe).
  void SetSafe(HeaderId id, std::string_view name, std::string_view value);
  void SetSafe(HeaderId id, std::string_view value) { SetSafe(id, HeaderName(id), value); }
  /// Appends `value` with a comma to the values of that name, which become one field, or adds it.
  void Append(HeaderId id, std::string_view value);

  /// Removes every field of that name; the number of those that were there.
  size_t Remove(HeaderId id);
  size_t Remove(std::string_view name);
  template <class Predicate>
  size_t RemoveIf(Predicate&& predicate) {
    return RemoveFrom(0, predicate);
  }

  /// The bytes at `from`, into which all names and values point, now lie at `to`.
  void Moved(const char* from, const char* to);

  Arena& arena() { return *arena_; }

 private:
  static constexpr size_t kInside = 24;

  template <class Predicate>
  size_t RemoveFrom(size_t kept, Predicate&& predicate) {
    for (size_t i = kept; i < size_; ++i) {
      if (predicate(entries_[i])) continue;
      if (kept != i) entries_[kept] = entries_[i];
      ++kept;
    }
    const size_t removed = size_ - kept;
    size_ = kept;
    return removed;
  }
  std::optional<std::string_view> GetJoined(HeaderId id, std::string_view name) const;
  void Replace(Header* header, std::string_view value, Header::Known known);
  Header* Find(HeaderId id, std::string_view name) const;
  void Grow();

  Arena* arena_;
  Header* entries_;
  size_t size_ = 0;
  size_t capacity_ = kInside;
  uint64_t present_ = 0;  // ids that are among the fields, or were
  alignas(Header) char inside_[kInside * sizeof(Header)];
};

}  // namespace sluice
