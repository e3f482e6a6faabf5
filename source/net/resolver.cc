// What every resolver shares: IP literals, which names may be asked for, and the order of
// addresses. Pure functions.
#include "source/net/resolver.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "source/base/strings.h"

namespace sluice {
namespace {

// A literal needs no second look; its holder is forgotten by other rules long before.
constexpr std::chrono::seconds kLiteralTtl = std::chrono::hours(24);
constexpr size_t kMaxLabel = 63;
constexpr size_t kMaxName = 253;

constexpr std::array<bool, 256> MakeNameCharacters() {
  std::array<bool, 256> table{};
  for (int c = 'a'; c <= 'z'; ++c) table[c] = table[c - 'a' + 'A'] = true;
  for (int c = '0'; c <= '9'; ++c) table[c] = true;
  table['-'] = table['_'] = true;
  return table;
}
constexpr std::array<bool, 256> kNameCharacters = MakeNameCharacters();

// Decimal, octal or hexadecimal: what old parsers of addresses take for a part of one.
bool IsNumber(std::string_view label) {
  if (label.size() >= 2 && label[0] == '0' && ToLower(label[1]) == 'x') {
    return std::all_of(label.begin() + 2, label.end(),
                       [](unsigned char c) { return std::isxdigit(c) != 0; });
  }
  return std::all_of(label.begin(), label.end(), IsDigit);
}

}  // namespace

std::optional<DnsAnswer> LiteralAnswer(std::string_view name) {
  if (name.empty() || name.find('%') != std::string_view::npos) return std::nullopt;
  if (!IsDigit(name.back()) && name.find(':') == std::string_view::npos) return std::nullopt;
  const absl::StatusOr<Address> address = Address::Ip(name, 0);
  if (!address.ok()) return std::nullopt;
  return DnsAnswer{
      DnsAnswer::Outcome::kCompleted, std::string(kResolvedDetails), {{*address, kLiteralTtl}}};
}

bool IsResolvableName(std::string_view name) {
  if (!name.empty() && name.back() == '.') name.remove_suffix(1);
  if (name.empty() || name.size() > kMaxName) return false;
  std::string_view label;
  size_t start = 0;
  for (size_t i = 0; i <= name.size(); ++i) {
    if (i < name.size() && name[i] != '.') {
      if (!kNameCharacters[static_cast<unsigned char>(name[i])]) return false;
      continue;
    }
    label = name.substr(start, i - start);
    if (label.empty() || label.size() > kMaxLabel) return false;
    start = i + 1;
  }
  return !IsNumber(label);
}

std::vector<AddressWithTtl> Interleave(const std::vector<AddressWithTtl>& addresses) {
  std::vector<AddressWithTtl> result;
  const auto is_known = [&result](const Address& address) {
    return std::any_of(result.begin(), result.end(),
                       [&](const AddressWithTtl& known) { return known.address == address; });
  };
  const auto next_of = [&addresses](int family, size_t from) {
    while (from < addresses.size() && addresses[from].address.family() != family) ++from;
    return from;
  };
  size_t v6 = next_of(AF_INET6, 0);
  size_t v4 = next_of(AF_INET, 0);
  const auto take = [&](int family, size_t& at) {
    if (at == addresses.size() || result.size() == DnsAnswer::kMaxAddresses) return;
    if (!is_known(addresses[at].address)) result.push_back(addresses[at]);
    at = next_of(family, at + 1);
  };
  while (result.size() < DnsAnswer::kMaxAddresses &&
         (v6 < addresses.size() || v4 < addresses.size())) {
    take(AF_INET6, v6);
    take(AF_INET, v4);
  }
  return result;
}

}  // namespace sluice
