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

#if defined(__SSE2__)
/// Sixteen bytes, each all ones where it is from `first` to `last`.
inline __m128i Within(__m128i bytes, char first, char last) {
  const __m128i above = _mm_sub_epi8(bytes, _mm_set1_epi8(first));
  return _mm_cmpeq_epi8(_mm_min_epu8(above, _mm_set1_epi8(static_cast<char>(last - first))), above);
}

/// One bit for each of sixteen bytes, the first byte's lowest.
inline unsigned MaskOf(__m128i bytes) {
  return static_cast<unsigned>(_mm_movemask_epi8(bytes));
}
#endif

// Classes of bytes: Is() of one, Mask() of the sixteen at `at`.

/// Control bytes other than HTAB: what a line may not hold.
struct ControlBytes {
  static bool Is(char c) {
    const unsigned char byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && byte != '\t') || byte == 0x7f;
  }
#if defined(__SSE2__)
  static unsigned Mask(const char* at) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
    const __m128i tab = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\t'));
    const __m128i del = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f));
    return MaskOf(_mm_or_si128(_mm_andnot_si128(tab, low), del));
  }
#endif
};

/// What may not stand in a word of a start line: blanks, control bytes, bytes beyond ASCII; and
/// kMore.
template <char... kMore>
struct UnsafeBytes {
  static bool Is(char c) {
    return static_cast<signed char>(c) <= ' ' || c == 0x7f || ((c == kMore) || ...);
  }
#if defined(__SSE2__)
  static unsigned Mask(const char* at) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    __m128i found = _mm_or_si128(_mm_cmplt_epi8(bytes, _mm_set1_epi8(' ' + 1)),
                                 _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f)));
    ((found = _mm_or_si128(found, _mm_cmpeq_epi8(bytes, _mm_set1_epi8(kMore)))), ...);
    return MaskOf(found);
  }
#endif
};

/// The listed bytes.
template <char... kBytes>
struct AnyOf {
  static bool Is(char c) { return ((c == kBytes) || ...); }
#if defined(__SSE2__)
  static unsigned Mask(const char* at) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    __m128i found = _mm_setzero_si128();
    ((found = _mm_or_si128(found, _mm_cmpeq_epi8(bytes, _mm_set1_epi8(kBytes)))), ...);
    return MaskOf(found);
  }
#endif
};

/// The first byte of the class, or `end`.
template <class Class>
inline const char* FindFirst(const char* begin, const char* end) {
#if defined(__SSE2__)
  const char* const first = begin;
  for (; end - begin >= 16; begin += 16) {
    if (const unsigned mask = Class::Mask(begin); mask != 0) return begin + __builtin_ctz(mask);
  }
  if (begin == end) return end;
  if (end - first >= 16) {
    // The last sixteen bytes: some have been looked at and are known to be good.
    const unsigned mask = Class::Mask(end - 16);
    return mask != 0 ? end - 16 + __builtin_ctz(mask) : end;
  }
#endif
  while (begin != end && !Class::Is(*begin)) ++begin;
  return begin;
}

/// True when no byte of `text` is of the class.
template <class Class>
inline bool HasNone(std::string_view text) {
  const char* const end = text.data() + text.size();
  return FindFirst<Class>(text.data(), end) == end;
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
