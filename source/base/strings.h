// Strings: std::string_view everywhere in Sluice, adapted to Abseil in this one place. Debian
// builds Abseil as C++14, where absl::string_view is a type of its own that does not convert from
// std::string_view. Values, any thread.
#pragma once

#include <charconv>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace sluice {

/// The same bytes as Abseil's type, for a call of Abseil's functions.
inline absl::string_view Absl(std::string_view text) {
  return {text.data(), text.size()};
}
/// And back.
inline std::string_view Std(absl::string_view text) {
  return {text.data(), text.size()};
}

namespace strings_internal {
inline absl::string_view Adapt(std::string_view text) {
  return Absl(text);
}
inline absl::string_view Adapt(const std::string& text) {
  return text;
}
inline absl::string_view Adapt(const char* text) {
  return text;
}
template <class T>
  requires(!std::is_convertible_v<const T&, std::string_view>)
const T& Adapt(const T& value) {
  return value;
}
}  // namespace strings_internal

/// Concatenates strings and numbers.
template <class... Args>
std::string Cat(const Args&... args) {
  return absl::StrCat(strings_internal::Adapt(args)...);
}
template <class... Args>
void AppendTo(std::string* out, const Args&... args) {
  absl::StrAppend(out, strings_internal::Adapt(args)...);
}

/// An InvalidArgument status whose message is the concatenation of `args`.
template <class... Args>
absl::Status Invalid(const Args&... args) {
  return absl::InvalidArgumentError(Cat(args...));
}

/// ASCII only; every other byte stays as it is.
inline char ToLower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}
std::string ToLower(std::string_view text);
bool EqualsIgnoreCase(std::string_view a, std::string_view b);

/// '0' to '9'.
inline bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}
/// What a hexadecimal digit of either case stands for; -1: it is none.
inline int HexValue(char c) {
  if (IsDigit(c)) return c - '0';
  c = ToLower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}
/// `text` with "%41" as "A"; an escape that is none stays as it is. '+' stays, too.
std::string PercentDecode(std::string_view text);

/// The port of "host:port" with its colon, empty when there is none. A bare IPv6 address has colons
/// and no port; one with a port stands in brackets.
std::string_view PortOf(std::string_view authority);
/// What stands before PortOf(); an IPv6 address keeps its brackets.
inline std::string_view HostOf(std::string_view authority) {
  return authority.substr(0, authority.size() - PortOf(authority).size());
}

/// Decimal digits only, the whole text, no sign, no blank; nullopt on anything else and on
/// overflow.
template <class Int>
std::optional<Int> ParseDecimal(std::string_view text) {
  Int value{};
  if (text.empty() || text[0] < '0' || text[0] > '9') return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Without leading and trailing blanks and tabs (RFC 9110 5.6.3 OWS).
std::string_view Trim(std::string_view text);

/// Hash and equality that let maps with std::string keys be searched by std::string_view without a
/// copy.
struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const {
    return absl::Hash<absl::string_view>()(Absl(text));
  }
};
struct StringEq {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const { return a == b; }
};
template <class V>
using StringMap = absl::flat_hash_map<std::string, V, StringHash, StringEq>;
using StringSet = absl::flat_hash_set<std::string, StringHash, StringEq>;

}  // namespace sluice
