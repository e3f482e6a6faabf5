// Which bytes may stand where in a head, by table or sixteen at a time. Constant data and pure
// functions, any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace sluice {

/// The lower case of each byte that may stand in a token (RFC 9110 5.6.2), else 0.
inline constexpr std::array<char, 256> kTokenLower = [] {
  std::array<char, 256> table{};
  for (int c = '0'; c <= '9'; ++c) table[c] = static_cast<char>(c);
  for (int c = 'a'; c <= 'z'; ++c) table[c] = table[c - 32] = static_cast<char>(c);
  for (char c : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<unsigned char>(c)] = c;
  return table;
}();

inline bool IsTokenByte(char c) {
  return kTokenLower[static_cast<unsigned char>(c)] != 0;
}

/// A control byte other than HTAB: what a line may not hold.
inline bool IsControlByte(char c) {
  const unsigned char byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && byte != '\t') || byte == 0x7f;
}

#if defined(__SSE2__)
/// One bit for each of the sixteen bytes at `at` that is a control byte, the first byte's lowest.
inline unsigned ControlMask(const char* at) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
  const __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
  const __m128i tab = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\t'));
  const __m128i del = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f));
  return static_cast<unsigned>(_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, low), del)));
}
#endif

/// The first control byte other than HTAB, or `end`.
inline const char* FindControl(const char* begin, const char* end) {
#if defined(__SSE2__)
  const char* const first = begin;
  for (; end - begin >= 16; begin += 16) {
    if (const unsigned mask = ControlMask(begin); mask != 0) return begin + __builtin_ctz(mask);
  }
  if (begin == end) return end;
  if (end - first >= 16) {
    // The last sixteen bytes: some have been looked at and are known to be good.
    const unsigned mask = ControlMask(end - 16);
    return mask != 0 ? end - 16 + __builtin_ctz(mask) : end;
  }
#endif
  while (begin != end && !IsControlByte(*begin)) ++begin;
  return begin;
}

/// Copies `size` bytes and returns the end of the copy; for short texts cheaper than a call.
inline char* CopyBytes(char* to, const char* from, size_t size) {
  if (size >= 16) {
    const char* const last = from + size - 16;
    char* const end = to + size;
    for (; from < last; from += 16, to += 16) __builtin_memcpy(to, from, 16);
    __builtin_memcpy(end - 16, last, 16);
    return end;
  }
  if (size >= 8) {
    __builtin_memcpy(to, from, 8);
    __builtin_memcpy(to + size - 8, from + size - 8, 8);
  } else if (size >= 4) {
    __builtin_memcpy(to, from, 4);
    __builtin_memcpy(to + size - 4, from + size - 4, 4);
  } else {
    for (size_t i = 0; i < size; ++i) to[i] = from[i];
  }
  return to + size;
}

}  // namespace sluice
