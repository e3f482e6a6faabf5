// A hash table without collisions for the listed names, built when the program is compiled.
// Constant data.
#include "source/http/header_id.h"

#include <array>
#include <cstring>

namespace sluice {
namespace {

struct Named {
  std::string_view name;
  HeaderId id;
};

constexpr Named kNames[] = {
#define SLUICE_HEADER_ROW(id, name) {name, HeaderId::id},
    SLUICE_HEADER_NAMES(SLUICE_HEADER_ROW)
#undef SLUICE_HEADER_ROW
};

static_assert(std::size(kNames) < 64, "a set of names is one word");

constexpr size_t kSlots = 256;

constexpr size_t Slot(std::string_view name, uint32_t seed) {
  const size_t n = name.size();
  auto at = [&](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(name[i])); };
  // Four letters tell all listed names of one length apart.
  uint32_t hash = at(0) | at(n - 1) << 8 | at(n / 2) << 16 | at(n >= 4 ? n - 4 : 0) << 24;
  hash += static_cast<uint32_t>(n) * 0x01000193u;
  hash *= seed;
  return hash >> 24;
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

constexpr uint32_t kSeed = FindSeed();

constexpr std::array<uint8_t, kSlots> MakeTable() {
  std::array<uint8_t, kSlots> table{};
  for (size_t i = 0; i < std::size(kNames); ++i)
    table[Slot(kNames[i].name, kSeed)] = static_cast<uint8_t>(i + 1);
  return table;
}

constexpr std::array<uint8_t, kSlots> kTable = MakeTable();

// Equality of two texts of `size` bytes without a call.
bool IsSame(const char* a, const char* b, size_t size) {
  uint64_t left, right;
  if (size < 8) {
    for (size_t i = 0; i < size; ++i) {
      if (a[i] != b[i]) return false;
    }
    return true;
  }
  for (size_t i = 0; i + 8 < size; i += 8) {
    std::memcpy(&left, a + i, 8);
    std::memcpy(&right, b + i, 8);
    if (left != right) return false;
  }
  std::memcpy(&left, a + size - 8, 8);
  std::memcpy(&right, b + size - 8, 8);
  return left == right;
}

}  // namespace

HeaderId FindHeaderId(std::string_view name) {
  if (name.empty()) return HeaderId::kOther;
  const uint8_t row = kTable[Slot(name, kSeed)];
  if (row == 0) return HeaderId::kOther;
  const Named& named = kNames[row - 1];
  if (named.name.size() != name.size() || !IsSame(named.name.data(), name.data(), name.size()))
    return HeaderId::kOther;
  return named.id;
}

std::string_view HeaderName(HeaderId id) {
  return id == HeaderId::kOther ? "" : kNames[static_cast<size_t>(id) - 1].name;
}

}  // namespace sluice
