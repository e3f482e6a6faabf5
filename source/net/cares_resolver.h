// CaresResolver: the Resolver over c-ares and the worker's own event loop, without threads. Belongs
// to one worker (the main one); it must be destroyed before that worker, with no Resolve() running.
#pragma once

#include <memory>
#include <vector>

#include "source/async/worker.h"
#include "source/base/metric.h"
#include "source/net/resolver.h"

namespace sluice {

/// envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig in plain values, with its
/// defaults.
struct CaresOptions {
  std::vector<Address> resolvers;          // with ports; empty: those of /etc/resolv.conf
  bool use_resolvers_as_fallback = false;  // `resolvers` count only when the system has none
  bool use_tcp = false;                    // dns_resolver_options.use_tcp_for_dns_lookups
  bool no_default_search_domain = false;   // dns_resolver_options.no_default_search_domain
  std::chrono::seconds query_timeout{5};   // per try; c-ares lengthens later ones
  int query_tries = 4;
};

/// Metrics under dns.cares.; handles that count nothing by default.
struct CaresStats {
  Counter resolve_total;      // questions put to c-ares (see Resolve())
  Gauge pending_resolutions;  // of those, not answered yet
  Counter not_found;          // no such name, no such record
  Counter timeouts;           // tries that no server answered in time
  Counter get_addr_failure;   // all other failures
  Counter reinits;  // channels made anew after a failure, so that a changed resolv.conf is seen
};

class CaresChannel;

class CaresResolver final : public Resolver {
 public:
  CaresResolver(Worker& worker, CaresOptions options, CaresStats stats);
  ~CaresResolver() override;

  /// One question to c-ares, or two: AUTO and V4_PREFERRED ask for the other family where the first
  /// has no address, ALL for IPv4 alone where the answer for both is not there after 250 ms.
  Task<DnsAnswer> Resolve(std::string name, LookupFamily family, Duration timeout) override;

 private:
  Task<DnsAnswer> Ask(std::string name, int family, TimePoint limit);
  Task<DnsAnswer> AskOn(std::shared_ptr<CaresChannel> channel, std::string name, int family,
                        TimePoint limit);
  std::shared_ptr<CaresChannel> Channel();

  Worker& worker_;
  const CaresOptions options_;
  const CaresStats stats_;
  // The channel of new questions; one that has failed is left to its pending questions, and the
  // next question makes another.
  std::shared_ptr<CaresChannel> channel_;
  bool failed_ = false;
};

}  // namespace sluice
