// Finding the route of a request. Any worker, without locks.
#include "source/router/route_table.h"

namespace sluice {

const Route* RouteTable::Select(const RequestHead& head, Exchange& exchange) const {
  const std::string_view name =
      host_header_.empty() ? head.authority : head.headers.Get(host_header_).value_or("");
  const auto found = domains_.Find(name);
  if (!found.has_value()) return nullptr;
  const VirtualHost& host = hosts_[*found];
  if (host.require_tls != VirtualHost::Tls::kNone &&
      head.headers.Get(HeaderId::kXForwardedProto) != "https") {
    const bool internal = head.headers.Get(HeaderId::kXEnvoyInternal) == "true";
    if (host.require_tls == VirtualHost::Tls::kAll || !internal) return &host.to_https;
  }
  std::string_view path = head.PathOnly();
  if (ignore_path_parameters_) path = path.substr(0, path.find(';'));
  RequestRandom random(exchange.worker().rng());
  for (const Entry& entry : host.entries) {
    if (entry.matcher.Matches(head, path, random))
      return entry.weights.empty() ? &entry.choices.front() : &entry.Choose(head, exchange, random);
  }
  return nullptr;
}

const Route& RouteTable::Entry::Choose(const RequestHead& head, Exchange& exchange,
                                       RequestRandom& random) const {
  std::optional<uint64_t> number;
  if (!weight_header.empty()) {
    if (const auto value = head.headers.Get(weight_header)) number = ParseDecimal<uint64_t>(*value);
  } else if (weights_by_hash && choices.front().hash != nullptr) {
    number = choices.front().hash->Hash(head, exchange, nullptr);
  }
  uint64_t sum = 0;
  for (const config::RuntimeUInt32& weight : weights) sum += weight.Get();
  // The runtime may have taken everything from everybody.
  if (sum == 0) return choices.front();
  uint64_t drawn = (number.has_value() ? *number : random.Get()) % sum;
  for (size_t i = 0; i < weights.size(); ++i) {
    // A weight that has just changed may let the number run past the last one.
    const uint64_t weight = weights[i].Get();
    if (drawn < weight) return choices[i];
    drawn -= weight;
  }
  return choices.back();
}

std::vector<std::string> RouteTable::VirtualHosts() const {
  std::vector<std::string> names;
  for (const VirtualHost& host : hosts_) names.push_back(host.name);
  return names;
}

}  // namespace sluice
