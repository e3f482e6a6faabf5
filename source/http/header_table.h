// The hash table behind FindHeaderId, for whoever looks many names up. Without collisions for the
// listed names, built when the program is compiled. Constant data.
#pragma once

#include <array>
#include <cstring>

#include "source/http/header_id.h"

namespace sluice::header_table {

struct Named {
  std::string_view name;
  HeaderId id;
};

inline constexpr Named kNames[] = {
#define SLUICE_HEADER_ROW(id, name) {name, HeaderId::id},
    SLUICE_HEADER_NAMES(SLUICE_HEADER_ROW)
#undef SLUICE_HEADER_ROW
};

static_assert(std::size(kNames) < 64, "a set of names is one word");

/// The number of a name is its row, from 1.
static_assert([] {
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (static_cast<size_t>(kNames[i].id) != i + 1) return false;
  }
  return true;
}());

inline constexpr size_t kSlots = 512;

// Four bytes of a name as a number; the compiler makes one load of it.
constexpr uint32_t Load(const char* at) {
  const auto byte = [&](int i) { return static_cast<uint32_t>(static_cast<unsigned char>(at[i])); };
  return byte(0) | byte(1) << 8 | byte(2) << 16 | byte(3) << 24;
}

// The first and the last four letters tell all listed names apart. `name` is not empty.
constexpr size_t Slot(std::string_view name, uint32_t seed) {
  const char* const text = name.data();
  const size_t size = name.size();
  uint32_t hash = 0;
  if (size >= 4) {
    hash = Load(text) * 0x01000193u ^ Load(text + size - 4);
  } else {
    const char padded[] = {text[0], text[size / 2], text[size - 1], 0};
    hash = Load(padded);
  }
  return (hash + static_cast<uint32_t>(size)) * seed >> 23;
}

constexpr uint32_t FindSeed() {
  for (uint32_t seed = 0x9e3779b1u;; seed += 2) {
    std::array<bool, kSlots> taken{};
    bool clash = false;
    for (const Named& named : kNames) {
      bool& slot = taken[Slot(named.name, seed)];
      clash = clash || slot;
      slot = true;
    }
    if (!clash) return seed;
  }
}

inline constexpr uint32_t kSeed = FindSeed();

constexpr std::array<uint8_t, kSlots> MakeTable() {
  std::array<uint8_t, kSlots> table{};
  for (size_t i = 0; i < std::size(kNames); ++i)
    table[Slot(kNames[i].name, kSeed)] = static_cast<uint8_t>(i + 1);
  return table;
}

inline constexpr std::array<uint8_t, kSlots> kTable = MakeTable();

// Equality of `size` bytes, in pieces of the size of Word that may overlap.
template <class Word>
inline bool IsSameBy(const char* a, const char* b, size_t size) {
  Word left, right;
  for (size_t i = 0; i + sizeof(Word) < size; i += sizeof(Word)) {
    std::memcpy(&left, a + i, sizeof(Word));
    std::memcpy(&right, b + i, sizeof(Word));
    if (left != right) return false;
  }
  std::memcpy(&left, a + size - sizeof(Word), sizeof(Word));
  std::memcpy(&right, b + size - sizeof(Word), sizeof(Word));
  return left == right;
}

// Equality of two texts of `size` > 0 bytes without a call.
inline bool IsSame(const char* a, const char* b, size_t size) {
  if (size >= 8) return IsSameBy<uint64_t>(a, b, size);
  if (size >= 4) return IsSameBy<uint32_t>(a, b, size);
  return IsSameBy<uint8_t>(a, b, size);
}

inline HeaderId Find(std::string_view name) {
  if (name.empty()) return HeaderId::kOther;
  const uint8_t row = kTable[Slot(name, kSeed)];
  if (row == 0) return HeaderId::kOther;
  const Named& named = kNames[row - 1];
  if (named.name.size() != name.size() || !IsSame(named.name.data(), name.data(), name.size()))
    return HeaderId::kOther;
  return named.id;
}

}  // namespace sluice::header_table
