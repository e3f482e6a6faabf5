// The file of a DNS cache. Main thread.
#include "source/upstream/dns/dns_store.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>

#include "source/base/log.h"
#include "source/base/strings.h"

namespace sluice {
namespace {

// No name, and no list of addresses, is longer.
constexpr size_t kMaxPart = 64 * 1024;

// "12\n" and the 12 bytes behind it; nullopt when the text is damaged here.
std::optional<std::string_view> TakePart(std::string_view* text) {
  const size_t end = text->find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  const auto size = ParseDecimal<size_t>(text->substr(0, end));
  if (!size.has_value() || *size > kMaxPart || text->size() - end - 1 < *size) return std::nullopt;
  const std::string_view part = text->substr(end + 1, *size);
  text->remove_prefix(end + 1 + *size);
  return part;
}

// "127.0.0.1:80|60|1795403045".
bool ParseLine(std::string_view line, DnsStore::Host* host) {
  const size_t first = line.find('|');
  const size_t second = line.find('|', first + 1);
  if (first == std::string_view::npos || second == std::string_view::npos) return false;
  const auto address = Address::IpAndPort(line.substr(0, first));
  const auto ttl = ParseDecimal<uint32_t>(line.substr(first + 1, second - first - 1));
  const auto time = ParseDecimal<int64_t>(line.substr(second + 1));
  if (!address.ok() || !ttl.has_value() || !time.has_value()) return false;
  if (host->addresses.size() < DnsAnswer::kMaxAddresses)
    host->addresses.push_back({*address, std::chrono::seconds(*ttl)});
  host->resolved_at = *time;
  return true;
}

bool ParseHost(std::string_view value, DnsStore::Host* host) {
  while (!value.empty()) {
    const std::string_view line = value.substr(0, value.find('\n'));
    if (!ParseLine(line, host)) return false;
    value.remove_prefix(std::min(line.size() + 1, value.size()));
  }
  return !host->addresses.empty();
}

void AppendPart(std::string_view part, std::string* out) {
  AppendTo(out, part.size(), "\n", part);
}

}  // namespace

DnsStore::DnsStore(Options options) : options_(std::move(options)) {
  std::ifstream file(options_.filename, std::ios::binary);
  if (!file) return;
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  hosts_ = Parse(text);
}

DnsStore::~DnsStore() {
  Flush().IgnoreError();
}

void DnsStore::Put(const std::string& key, Host host) {
  hosts_[key] = std::move(host);
  changed_ = true;
  if (options_.max_entries == 0 || hosts_.size() <= options_.max_entries) return;
  hosts_.erase(std::min_element(hosts_.begin(), hosts_.end(), [](const auto& a, const auto& b) {
    return a.second.resolved_at < b.second.resolved_at;
  }));
}

void DnsStore::Remove(const std::string& key) {
  if (hosts_.erase(key) != 0) changed_ = true;
}

absl::Status DnsStore::Flush() {
  if (!changed_) return absl::OkStatus();
  const std::string temporary = options_.filename + ".new";
  std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
  file << Print(hosts_);
  file.close();
  if (!file || std::rename(temporary.c_str(), options_.filename.c_str()) != 0) {
    return absl::UnavailableError(
        Cat("cannot write '", options_.filename, "': ", std::strerror(errno)));
  }
  changed_ = false;
  return absl::OkStatus();
}

std::string DnsStore::Print(const std::map<std::string, Host>& hosts) {
  std::string text;
  for (const auto& [key, host] : hosts) {
    std::string value;
    for (const AddressWithTtl& address : host.addresses) {
      AppendTo(&value, value.empty() ? "" : "\n", address.address.ToString(), "|",
               address.ttl.count(), "|", host.resolved_at);
    }
    AppendPart(key, &text);
    AppendPart(value, &text);
  }
  return text;
}

std::map<std::string, DnsStore::Host> DnsStore::Parse(std::string_view text) {
  std::map<std::string, Host> hosts;
  while (!text.empty()) {
    const auto key = TakePart(&text);
    const auto value = key.has_value() ? TakePart(&text) : std::nullopt;
    Host host;
    if (!value.has_value()) break;
    if (ParseHost(*value, &host)) hosts[std::string(*key)] = std::move(host);
  }
  return hosts;
}

}  // namespace sluice
