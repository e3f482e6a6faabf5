// The algorithm of the XXH64 specification (little endian). Pure function, any thread.
#include "source/base/hash.h"

#include <bit>
#include <cstddef>
#include <cstring>

namespace sluice {
namespace {

constexpr uint64_t kPrime1 = 0x9E3779B185EBCA87u;
constexpr uint64_t kPrime2 = 0xC2B2AE3D27D4EB4Fu;
constexpr uint64_t kPrime3 = 0x165667B19E3779F9u;
constexpr uint64_t kPrime4 = 0x85EBCA77C2B2AE63u;
constexpr uint64_t kPrime5 = 0x27D4EB2F165667C5u;

static_assert(std::endian::native == std::endian::little);

// The next bytes of `rest` as a number.
template <class Int>
uint64_t Take(std::string_view* rest) {
  Int value;
  std::memcpy(&value, rest->data(), sizeof(value));
  rest->remove_prefix(sizeof(value));
  return value;
}

uint64_t Round(uint64_t lane, uint64_t input) {
  return std::rotl(lane + input * kPrime2, 31) * kPrime1;
}

uint64_t Merge(uint64_t hash, uint64_t lane) {
  return (hash ^ Round(0, lane)) * kPrime1 + kPrime4;
}

// Four lanes over the whole stripes of 32 bytes, which it takes from `rest`.
uint64_t Stripes(std::string_view* rest, uint64_t seed) {
  uint64_t lanes[4] = {seed + kPrime1 + kPrime2, seed + kPrime2, seed, seed - kPrime1};
  while (rest->size() >= 32) {
    for (uint64_t& lane : lanes) lane = Round(lane, Take<uint64_t>(rest));
  }
  uint64_t hash = std::rotl(lanes[0], 1) + std::rotl(lanes[1], 7) + std::rotl(lanes[2], 12) +
                  std::rotl(lanes[3], 18);
  for (const uint64_t lane : lanes) hash = Merge(hash, lane);
  return hash;
}

}  // namespace

uint64_t Hash64(std::string_view bytes, uint64_t seed) {
  std::string_view rest = bytes;
  uint64_t hash = bytes.size() >= 32 ? Stripes(&rest, seed) : seed + kPrime5;
  hash += bytes.size();
  while (rest.size() >= 8)
    hash = std::rotl(hash ^ Round(0, Take<uint64_t>(&rest)), 27) * kPrime1 + kPrime4;
  if (rest.size() >= 4)
    hash = std::rotl(hash ^ Take<uint32_t>(&rest) * kPrime1, 23) * kPrime2 + kPrime3;
  while (!rest.empty()) hash = std::rotl(hash ^ Take<uint8_t>(&rest) * kPrime5, 11) * kPrime1;
  hash = (hash ^ hash >> 33) * kPrime2;
  hash = (hash ^ hash >> 29) * kPrime3;
  return hash ^ hash >> 32;
}

}  // namespace sluice
