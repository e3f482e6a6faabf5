// Header fields in a flat table: requests have a dozen of them, and walking a dozen rows beats any
// index. Worker thread only.
#include "source/http/headers.h"

#include <algorithm>
#include <memory>

#include "source/base/strings.h"

namespace sluice {

void Headers::Grow() {
  const size_t capacity = capacity_ * 2;
  char* memory = arena_->Allocate(capacity * sizeof(Header) + alignof(Header));
  void* aligned = memory;
  size_t space = capacity * sizeof(Header) + alignof(Header);
  std::align(alignof(Header), capacity * sizeof(Header), aligned, space);
  std::copy_n(entries_, size_, static_cast<Header*>(aligned));
  entries_ = static_cast<Header*>(aligned);
  capacity_ = capacity;
}

void Headers::Add(HeaderId id, std::string_view name, std::string_view value) {
  AddKnown(id, name, value, Header::kNothing);
}

void Headers::AddCopy(std::string_view name, std::string_view value) {
  char* memory = arena_->Allocate(name.size());
  std::transform(name.begin(), name.end(), memory, [](char c) { return ToLower(c); });
  const std::string_view copy(memory, name.size());
  Add(FindHeaderId(copy), copy, arena_->Copy(value));
}

Header* Headers::Find(HeaderId id, std::string_view name) const {
  for (size_t i = 0; i < size_; ++i) {
    if (entries_[i].id == id && (id != HeaderId::kOther || entries_[i].name == name))
      return &entries_[i];
  }
  return nullptr;
}

std::optional<std::string_view> Headers::Get(std::string_view name) const {
  const HeaderId id = FindHeaderId(name);
  const Header* header = MayHave(Bit(id)) ? Find(id, name) : nullptr;
  return header == nullptr ? std::nullopt : std::optional(header->value);
}

std::optional<std::string_view> Headers::GetJoined(HeaderId id, std::string_view name) const {
  if (!MayHave(Bit(id))) return std::nullopt;
  std::optional<std::string_view> first;
  std::string joined;
  for (const Header& header : *this) {
    if (header.id != id || (id == HeaderId::kOther && header.name != name)) continue;
    if (!first.has_value()) {
      first = header.value;
    } else {
      if (joined.empty()) joined = *first;
      AppendTo(&joined, ",", header.value);
    }
  }
  return joined.empty() ? first : std::optional(arena_->Copy(joined));
}

void Headers::Moved(const char* from, const char* to) {
  for (Header* header = entries_; header != entries_ + size_; ++header) {
    header->name = {to + (header->name.data() - from), header->name.size()};
    header->value = {to + (header->value.data() - from), header->value.size()};
  }
}

// Gives the field a new value, and removes those of its name behind it.
void Headers::Replace(Header* header, std::string_view value, Header::Known known) {
  header->value = value;
  header->known = known;
  const Header kept = *header;
  RemoveFrom(static_cast<size_t>(header - entries_) + 1, [&](const Header& other) {
    return other.id == kept.id && (kept.id != HeaderId::kOther || other.name == kept.name);
  });
}

void Headers::Set(HeaderId id, std::string_view value) {
  Header* header = MayHave(Bit(id)) ? Find(id, {}) : nullptr;
  if (header == nullptr) return AddCopy(id, value);
  Replace(header, arena_->Copy(value), Header::kNothing);
}

void Headers::SetSafe(HeaderId id, std::string_view name, std::string_view value) {
  Header* header = MayHave(Bit(id)) ? Find(id, name) : nullptr;
  if (header == nullptr) return AddSafe(id, name, value);
  Replace(header, value, Header::kSafe);
}

void Headers::Set(std::string_view name, std::string_view value) {
  const HeaderId id = FindHeaderId(name);
  Header* header = MayHave(Bit(id)) ? Find(id, name) : nullptr;
  if (header == nullptr) return AddCopy(name, value);
  Replace(header, arena_->Copy(value), Header::kNothing);
}

void Headers::Append(HeaderId id, std::string_view value) {
  Header* header = MayHave(Bit(id)) ? Find(id, {}) : nullptr;
  if (header == nullptr) return AddCopy(id, value);
  const std::string_view before = *GetJoined(id);
  if (before.empty()) return Replace(header, arena_->Copy(value), Header::kNothing);
  char* memory = arena_->Allocate(before.size() + 1 + value.size());
  char* end = std::copy(before.begin(), before.end(), memory);
  *end++ = ',';
  end = std::copy(value.begin(), value.end(), end);
  Replace(header, {memory, static_cast<size_t>(end - memory)}, Header::kNothing);
}

size_t Headers::Remove(HeaderId id) {
  if (!MayHave(Bit(id))) return 0;
  present_ &= ~Bit(id);
  return RemoveIf([&](const Header& header) { return header.id == id; });
}

size_t Headers::Remove(std::string_view name) {
  const HeaderId id = FindHeaderId(name);
  if (id != HeaderId::kOther) return Remove(id);
  if (!MayHave(Bit(id))) return 0;
  return RemoveIf([&](const Header& header) { return header.id == id && header.name == name; });
}

}  // namespace sluice
