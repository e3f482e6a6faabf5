// The name of a field as it was received: checked, made lower case in place, and known by its
// number if it is listed. Pure functions, any thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include "source/http/bytes.h"
#include "source/http/header_table.h"

namespace sluice {

/// size 0: there is no name.
struct FieldName {
  size_t size = 0;
  HeaderId id = HeaderId::kOther;
};

/// The token (RFC 9110 5.6.2) at `line`, which ends before `end`. `odd` becomes true for an
/// underscore. Whoever calls looks for the colon behind it.
inline FieldName ReadAnyName(char* line, const char* end, bool* odd) {
  char* at = line;
  for (; at != end; ++at) {
    const char lower = kTokenLower[static_cast<unsigned char>(*at)];
    if (lower == 0) break;
    *odd = *odd || lower == '_';
    *at = lower;
  }
  const size_t size = static_cast<size_t>(at - line);
  return {size, header_table::Find({line, size})};
}

#if defined(__SSE2__)
namespace field_name {

struct alignas(16) Sixteen {
  char text[16] = {};
};

// By row of the table of names: those of at most 15 letters, with the colon behind them.
inline constexpr auto kWithColon = [] {
  std::array<Sixteen, std::size(header_table::kNames) + 1> table{};
  for (size_t row = 1; row < table.size(); ++row) {
    const std::string_view name = header_table::kNames[row - 1].name;
    if (name.size() > 15) continue;
    std::copy(name.begin(), name.end(), table[row].text);
    table[row].text[name.size()] = ':';
  }
  return table;
}();

}  // namespace field_name

/// A name of at most 15 letters, digits and "-" with its colon at `line`, where sixteen bytes can
/// be read and written. Any other has size 0 and is left as it is.
inline FieldName ReadShortName(char* line) {
  using namespace field_name;
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(line));
  const unsigned colons = MaskOf(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(':')));
  // The bytes before the first colon; no colon leaves all bits.
  const unsigned name = (colons - 1) & ~colons;
  if (name - 1 >= 0x7fff) return {};
  const size_t size = static_cast<size_t>(__builtin_ctz(colons));
  const __m128i capital = Within(bytes, 'A', 'Z');
  const __m128i lower = _mm_or_si128(bytes, _mm_and_si128(capital, _mm_set1_epi8(0x20)));
  Sixteen text;
  _mm_store_si128(reinterpret_cast<__m128i*>(text.text), lower);
  const size_t row =
      header_table::kTable[header_table::Slot({text.text, size}, header_table::kSeed)];
  const __m128i listed_name =
      _mm_load_si128(reinterpret_cast<const __m128i*>(kWithColon[row].text));
  // A listed name needs no other check.
  const bool listed = (~MaskOf(_mm_cmpeq_epi8(lower, listed_name)) & (2 * name + 1)) == 0;
  if (!listed) {
    const __m128i good = _mm_or_si128(Within(lower, 'a', 'z'), Within(bytes, '0', '9'));
    const __m128i dash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('-'));
    if ((~MaskOf(_mm_or_si128(good, dash)) & name) != 0) return {};
  }
  if ((MaskOf(capital) & name) != 0) {
    const __m128i places = _mm_set_epi8(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m128i mine = _mm_cmplt_epi8(places, _mm_set1_epi8(static_cast<char>(size)));
    const __m128i both = _mm_or_si128(_mm_and_si128(mine, lower), _mm_andnot_si128(mine, bytes));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(line), both);
  }
  return {size, static_cast<HeaderId>(listed ? row : 0)};
}
#else
inline FieldName ReadShortName(char*) {
  return {};
}
#endif

}  // namespace sluice
