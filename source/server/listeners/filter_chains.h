// FilterChainTable: which chain of network filters serves a connection. Built on the main thread,
// then immutable and shared by all workers.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/envoy/config/listener/v3/listener.pb.h"
#include "source/extension/network_filter.h"
#include "source/net/address_range.h"

namespace sluice {

struct NetworkChain {
  ChainFacts facts;
  std::vector<std::unique_ptr<const NetworkFilter>> filters;
};

/// A FilterChainMatch in plain values; what is empty matches everything.
struct ChainMatch {
  struct Range {
    CidrRange range;
    uint32_t length;
  };
  using SourceType = envoy::config::listener::v3::FilterChainMatch::ConnectionSourceType;

  std::optional<uint16_t> destination_port;
  std::vector<Range> destination;
  std::vector<std::string> server_names;  // in lower case; "*.example.com" as ".example.com"
  std::string transport_protocol;
  std::vector<Range> direct_source;
  SourceType source_type = envoy::config::listener::v3::FilterChainMatch::ANY;
  std::vector<Range> source;
  std::vector<uint16_t> source_ports;

  /// InvalidArgument names the field.
  static absl::StatusOr<ChainMatch> Of(const envoy::config::listener::v3::FilterChainMatch& config);
};

class FilterChainTable {
 public:
  /// A chain, and which connections it takes. Main thread, before the first Find().
  void Add(ChainMatch match, NetworkChain chain);
  /// The chain of connections that no other takes; without one they are closed.
  void SetDefault(NetworkChain chain);

  /// The chain with the most specific match, compared as Envoy does: by destination port, then
  /// destination address, server name, transport protocol, the peer's address, the kind of source,
  /// the client's address and its port; a better match of an earlier one wins whatever the later
  /// ones say. Null: none matches, and there is no default.
  const NetworkChain* Find(const ConnectionOrigin& facts) const;

  /// Calls `visit` with every chain.
  template <class Visitor>
  void ForEach(Visitor visit) const {
    for (const Entry& entry : entries_) visit(entry.chain);
    if (default_.has_value()) visit(*default_);
  }

 private:
  struct Entry {
    ChainMatch match;
    NetworkChain chain;
  };
  const NetworkChain* FindAmong(std::vector<const Entry*> candidates,
                                const ConnectionOrigin& facts) const;

  std::vector<Entry> entries_;
  std::optional<NetworkChain> default_;
  bool only_one_ = false;  // one chain that matches everything
};

}  // namespace sluice
