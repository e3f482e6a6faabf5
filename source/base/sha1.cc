// SHA-1, one block after the other. Pure functions.
#include "source/base/sha1.h"

#include <bit>
#include <cstring>

namespace sluice {
namespace {

class State {
 public:
  void Block(const uint8_t* bytes) {
    uint32_t w[80];
    for (int i = 0; i < 16; ++i) {
      w[i] = uint32_t{bytes[4 * i]} << 24 | uint32_t{bytes[4 * i + 1]} << 16 |
             uint32_t{bytes[4 * i + 2]} << 8 | uint32_t{bytes[4 * i + 3]};
    }
    for (int i = 16; i < 80; ++i) w[i] = std::rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    uint32_t a = words_[0], b = words_[1], c = words_[2], d = words_[3], e = words_[4];
    for (int i = 0; i < 80; ++i) {
      const uint32_t next = std::rotl(a, 5) + Mix(i / 20, b, c, d) + e + kRound[i / 20] + w[i];
      e = d;
      d = c;
      c = std::rotl(b, 30);
      b = a;
      a = next;
    }
    words_[0] += a;
    words_[1] += b;
    words_[2] += c;
    words_[3] += d;
    words_[4] += e;
  }

  std::array<uint8_t, 20> Digest() const {
    std::array<uint8_t, 20> out;
    for (size_t i = 0; i < out.size(); ++i)
      out[i] = static_cast<uint8_t>(words_[i / 4] >> (24 - 8 * (i % 4)));
    return out;
  }

 private:
  static constexpr uint32_t kRound[] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};

  static uint32_t Mix(int round, uint32_t b, uint32_t c, uint32_t d) {
    if (round == 0) return (b & c) | (~b & d);
    if (round == 2) return (b & c) | (b & d) | (c & d);
    return b ^ c ^ d;
  }

  uint32_t words_[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
};

}  // namespace

std::array<uint8_t, 20> Sha1(std::string_view text) {
  State state;
  const auto* next = reinterpret_cast<const uint8_t*>(text.data());
  size_t left = text.size();
  for (; left >= 64; left -= 64, next += 64) state.Block(next);
  // What is left, a one bit, zeros, and the length in bits.
  uint8_t last[128] = {};
  if (left > 0) std::memcpy(last, next, left);
  last[left] = 0x80;
  const size_t size = left + 9 <= 64 ? 64 : 128;
  const uint64_t bits = uint64_t{text.size()} * 8;
  for (size_t i = 0; i < 8; ++i) last[size - 1 - i] = static_cast<uint8_t>(bits >> (8 * i));
  state.Block(last);
  if (size == 128) state.Block(last + 64);
  return state.Digest();
}

}  // namespace sluice
