// See request_id.h.
#include "source/http/request_id.h"

#include <cstdint>
#include <cstring>

namespace sluice {
namespace {

constexpr size_t kRequestIdSize = 36;

// Sixteen hexadecimal digits of a word, most significant first.
void WriteHex(uint64_t word, char* to) {
  // All digits at once, one in each byte of two words.
  const auto digits = [](uint32_t half) {
    uint64_t spread = half;
    spread = (spread | spread << 16) & 0x0000ffff0000ffff;
    spread = (spread | spread << 8) & 0x00ff00ff00ff00ff;
    spread = (spread | spread << 4) & 0x0f0f0f0f0f0f0f0f;
    const uint64_t letters = (spread + 0x0606060606060606) >> 4 & 0x0101010101010101;
    return __builtin_bswap64(spread + 0x3030303030303030 + letters * ('a' - '0' - 10));
  };
  const uint64_t text[] = {digits(static_cast<uint32_t>(word >> 32)),
                           digits(static_cast<uint32_t>(word))};
  std::memcpy(to, text, sizeof(text));
}

}  // namespace

std::string_view MakeRequestId(Rng& rng, Arena& arena) {
  char digits[32];
  WriteHex((rng() & 0xffffffffffff0fffull) | 0x4000, digits);
  WriteHex((rng() & 0x3fffffffffffffffull) | 0x8000000000000000ull, digits + 16);
  // 8-4-4-4-12. By hand: printf would cost more than the rest of the edge.
  char* const text = arena.Allocate(kRequestIdSize);
  std::memcpy(text, digits, 8);
  std::memcpy(text + 9, digits + 8, 4);
  std::memcpy(text + 14, digits + 12, 4);
  std::memcpy(text + 19, digits + 16, 4);
  std::memcpy(text + 24, digits + 20, 12);
  text[8] = text[13] = text[18] = text[23] = '-';
  return {text, kRequestIdSize};
}

}  // namespace sluice
