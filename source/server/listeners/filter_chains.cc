// Choosing a filter chain. Workers, once per connection; built on the main thread.
#include "source/server/listeners/filter_chains.h"

#include <algorithm>

#include "source/base/strings.h"

namespace sluice {
namespace {

namespace v3 = envoy::config::listener::v3;
using Ranges = google::protobuf::RepeatedPtrField<envoy::config::core::v3::CidrRange>;

// How well something matches: the greater the more specific; kNo: not at all.
constexpr int kNo = -1;
constexpr int kAnything = 0;

absl::Status ReadRanges(const Ranges& config, std::string_view field,
                        std::vector<ChainMatch::Range>& ranges) {
  for (const auto& range : config) {
    auto made = CidrRange::Make(range.address_prefix(), range.prefix_len().value());
    if (!made.ok()) return Invalid(field, ": ", Std(made.status().message()));
    ranges.push_back({*made, range.prefix_len().value()});
  }
  return absl::OkStatus();
}

int Score(const std::vector<ChainMatch::Range>& ranges, const Address& address) {
  if (ranges.empty()) return kAnything;
  int best = kNo;
  for (const ChainMatch::Range& range : ranges) {
    if (range.range.Contains(address)) best = std::max(best, static_cast<int>(range.length) + 1);
  }
  return best;
}

int ScoreNames(const std::vector<std::string>& names, std::string_view server_name) {
  if (names.empty()) return kAnything;
  int best = kNo;
  for (const std::string& name : names) {
    const bool wildcard = name.starts_with('.');
    if (name == server_name) best = std::max(best, 1000);
    if (wildcard && server_name.size() > name.size() && server_name.ends_with(name))
      best = std::max(best, static_cast<int>(name.size()));
  }
  return best;
}

bool IsSameMachine(const ConnectionOrigin& facts) {
  if (!facts.remote.is_ip()) return true;
  return facts.remote.is_loopback() || facts.remote.WithPort(0) == facts.local.WithPort(0);
}

int ScoreSource(ChainMatch::SourceType type, const ConnectionOrigin& facts) {
  if (type == v3::FilterChainMatch::ANY) return kAnything;
  return IsSameMachine(facts) == (type == v3::FilterChainMatch::SAME_IP_OR_LOOPBACK) ? 1 : kNo;
}

// In the order in which they decide.
int ScoreOf(const ChainMatch& match, const ConnectionOrigin& facts, int criterion) {
  switch (criterion) {
    case 0:
      return Score(match.destination, facts.local);
    case 1:
      return ScoreNames(match.server_names, facts.found().requested_server_name);
    case 2:
      return match.transport_protocol.empty()                               ? kAnything
             : match.transport_protocol == facts.found().transport_protocol ? 1
                                                                            : kNo;
    case 3:
      return Score(match.direct_source, facts.direct_remote());
    case 4:
      return ScoreSource(match.source_type, facts);
    case 5:
      return Score(match.source, facts.remote);
    default:
      break;
  }
  if (match.source_ports.empty()) return kAnything;
  return std::find(match.source_ports.begin(), match.source_ports.end(), facts.remote.port()) ==
                 match.source_ports.end()
             ? kNo
             : 1;
}
constexpr int kCriteria = 7;

}  // namespace

absl::StatusOr<ChainMatch> ChainMatch::Of(const v3::FilterChainMatch& config) {
  ChainMatch match;
  if (config.has_destination_port())
    match.destination_port = static_cast<uint16_t>(config.destination_port().value());
  for (const std::string& name : config.server_names()) {
    const bool wildcard = name.starts_with("*.");
    const std::string text = ToLower(wildcard ? name.substr(1) : name);
    if (text.empty() || (!wildcard && text.starts_with('.')) || text.find('*') != std::string::npos)
      return Invalid("server_names: '", name, "' is no name: '*' stands at the beginning, as in ",
                     "'*.example.com'");
    match.server_names.push_back(text);
  }
  match.transport_protocol = config.transport_protocol();
  match.source_type = config.source_type();
  match.source_ports.assign(config.source_ports().begin(), config.source_ports().end());
  for (const absl::Status& status :
       {ReadRanges(config.prefix_ranges(), "prefix_ranges", match.destination),
        ReadRanges(config.direct_source_prefix_ranges(), "direct_source_prefix_ranges",
                   match.direct_source),
        ReadRanges(config.source_prefix_ranges(), "source_prefix_ranges", match.source)}) {
    if (!status.ok()) return status;
  }
  return match;
}

void FilterChainTable::Add(ChainMatch match, NetworkChain chain) {
  const ChainMatch& m = match;
  const bool matches_all = !m.destination_port.has_value() && m.destination.empty() &&
                           m.server_names.empty() && m.transport_protocol.empty() &&
                           m.direct_source.empty() && m.source.empty() &&
                           m.source_type == v3::FilterChainMatch::ANY && m.source_ports.empty();
  entries_.push_back({std::move(match), std::move(chain)});
  only_one_ = matches_all && entries_.size() == 1;
}

void FilterChainTable::SetDefault(NetworkChain chain) {
  default_ = std::move(chain);
}

const NetworkChain* FilterChainTable::Find(const ConnectionOrigin& facts) const {
  if (only_one_) return &entries_[0].chain;
  std::vector<const Entry*> for_port, for_any;
  for (const Entry& entry : entries_) {
    const auto& port = entry.match.destination_port;
    if (!port.has_value()) for_any.push_back(&entry);
    if (port == facts.local.port()) for_port.push_back(&entry);
  }
  // Only here Envoy looks back: where nothing of those for the port matches, the others may.
  const NetworkChain* chain = FindAmong(std::move(for_port), facts);
  if (chain == nullptr) chain = FindAmong(std::move(for_any), facts);
  if (chain == nullptr && default_.has_value()) chain = &*default_;
  return chain;
}

const NetworkChain* FilterChainTable::FindAmong(std::vector<const Entry*> candidates,
                                                const ConnectionOrigin& facts) const {
  for (int criterion = 0; criterion < kCriteria && !candidates.empty(); ++criterion) {
    int best = kAnything;
    for (const Entry* entry : candidates)
      best = std::max(best, ScoreOf(entry->match, facts, criterion));
    std::erase_if(candidates, [&](const Entry* entry) {
      return ScoreOf(entry->match, facts, criterion) != best;
    });
  }
  return candidates.empty() ? nullptr : &candidates.front()->chain;
}

}  // namespace sluice
