// Host lookup by hash tables, one for each length of wildcard. Filled on the main thread, then read
// by all workers.
#include "source/router/domain_table.h"

#include <algorithm>

namespace sluice {
namespace {

// The row for wildcards of `length`, made where it is missing; longest first.
template <class Rows>
auto& RowOf(Rows& rows, size_t length) {
  auto place =
      std::find_if(rows.begin(), rows.end(), [&](const auto& row) { return row.length <= length; });
  if (place == rows.end() || place->length != length) {
    place = rows.emplace(place);
    place->length = length;
  }
  return *place;
}

std::optional<uint32_t> Lookup(const StringMap<uint32_t>& names, std::string_view name) {
  const auto found = names.find(name);
  return found == names.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace

absl::Status DomainTable::Add(std::string_view domain, uint32_t virtual_host) {
  const std::string lower = ToLower(domain);
  std::string_view text = lower;
  const auto put = [&](Names& names, std::string_view name) -> absl::Status {
    if (names.emplace(name, virtual_host).second) return absl::OkStatus();
    return Invalid("duplicate domain '", domain, "'");
  };
  if (text.empty()) return Invalid("a domain cannot be empty");
  if (text == "*") {
    if (any_.has_value()) return Invalid("duplicate domain '*'");
    any_ = virtual_host;
    return absl::OkStatus();
  }
  const bool suffix = text.front() == '*', prefix = text.back() == '*';
  if (suffix) text.remove_prefix(1);
  if (prefix) text.remove_suffix(1);
  if (text.find('*') != std::string_view::npos)
    return Invalid("'", domain, "': '*' stands at the beginning or at the end");
  if (suffix && prefix) {
    if (!text.ends_with(':'))
      return Invalid("'", domain,
                     "': with '*' at both ends only a port may follow the name: '*.name:*'");
    return put(RowOf(suffixes_, text.size()).any_port, text.substr(0, text.size() - 1));
  }
  if (suffix) return put(RowOf(suffixes_, text.size()).names, text);
  if (prefix) return put(RowOf(prefixes_, text.size()).names, text);
  return put(exact_, text);
}

std::optional<uint32_t> DomainTable::Find(std::string_view host) const {
  if (exact_.empty() && suffixes_.empty() && prefixes_.empty()) return any_;
  if (ignore_port_) host.remove_suffix(PortOf(host).size());
  char small[256];
  if (host.size() > sizeof(small)) return FindLower(ToLower(host));
  std::transform(host.begin(), host.end(), small, [](char c) { return ToLower(c); });
  return FindLower({small, host.size()});
}

std::optional<uint32_t> DomainTable::FindLower(std::string_view host) const {
  if (const auto found = Lookup(exact_, host)) return found;
  const std::string_view port = suffixes_.empty() ? std::string_view() : PortOf(host);
  const std::string_view name = host.substr(0, host.size() - port.size());
  for (const Suffixes& row : suffixes_) {
    // A wildcard stands for at least one character.
    if (host.size() > row.length) {
      if (const auto found = Lookup(row.names, host.substr(host.size() - row.length))) return found;
    }
    if (port.size() > 1 && name.size() > row.length - 1) {
      if (const auto found = Lookup(row.any_port, name.substr(name.size() - (row.length - 1))))
        return found;
    }
  }
  for (const Prefixes& row : prefixes_) {
    if (host.size() <= row.length) continue;
    if (const auto found = Lookup(row.names, host.substr(0, row.length))) return found;
  }
  return any_;
}

}  // namespace sluice
