// Rate-limit descriptors: what the rate_limits of a route, a virtual host or a filter make of a
// request: lists of keys and values to count it under. Immutable after Build: any thread;
// describing runs on the exchange's worker.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <google/protobuf/repeated_ptr_field.h>

#include "absl/container/inlined_vector.h"
#include "api/envoy/config/route/v3/route_components.pb.h"
#include "source/config/diagnostics.h"
#include "source/http/exchange.h"
#include "source/observe/match/match.h"
#include "source/observe/match/metadata_match.h"

namespace sluice {

/// One descriptor of one request. The views live as long as the request's head and the
/// configuration.
struct RateLimitDescriptor {
  struct Entry {
    std::string_view key;
    std::string_view value;
  };
  absl::InlinedVector<Entry, 4> entries;
  uint64_t hits = 1;
};
using RateLimitDescriptors = absl::InlinedVector<RateLimitDescriptor, 2>;

/// A list of envoy.config.route.v3.RateLimit.
class RateLimits {
 public:
  using Protos = google::protobuf::RepeatedPtrField<envoy::config::route::v3::RateLimit>;

  /// Reports problems at `<path>[i]`. `own_cluster`: that of the proxy's node (source_cluster).
  static RateLimits Build(const Protos& configs, std::string_view path,
                          const std::string& own_cluster, config::Diagnostics& diagnostics);

  bool empty() const { return limits_.empty(); }

  /// Adds the descriptors of those limits that are of `stage`, in order. A limit of which an action
  /// finds nothing gives none. Text that is neither in the head nor in the configuration goes into
  /// the head's arena.
  void Describe(uint32_t stage, RequestHead& head, const Exchange& exchange,
                RateLimitDescriptors* out) const;

 private:
  enum class Kind : uint8_t {
    kConstant,
    kDestinationCluster,
    kHeader,
    kQuery,
    kRemoteAddress,
    kMaskedAddress,
    kHeadersMatch,
    kQueriesMatch,
    kMetadata,
  };
  struct Action {
    Kind kind = Kind::kConstant;
    bool skip_if_absent = false;
    bool expect_match = true;
    uint32_t v4_bits = 32, v6_bits = 128;
    std::string key;
    std::string value;  // constant, or that of an absent kMetadata
    std::string name;   // of the header, the query parameter, or the metadata's name space
    MetadataPath metadata_path;
    std::vector<HeaderMatcher> headers;
    std::vector<QueryMatcher> queries;
  };
  struct Limit {
    uint32_t stage = 0;
    uint64_t hits = 1;
    std::vector<Action> actions;
  };
  enum class Found : uint8_t { kEntry, kSkipped, kNothing };

  static absl::StatusOr<Action> BuildAction(const envoy::config::route::v3::RateLimit::Action&,
                                            const std::string& own_cluster);
  static absl::StatusOr<Action> BuildMatch(const envoy::config::route::v3::RateLimit::Action&);
  static Found Evaluate(const Action& action, RequestHead& head, const Exchange& exchange,
                        RateLimitDescriptor* out);

  std::vector<Limit> limits_;
};

/// What a route says: its own limits and those of its virtual host. The only thing that
/// RouteBase::rate_limits points at.
struct RouteRateLimits {
  RateLimits route;
  std::shared_ptr<const RateLimits> virtual_host;  // never null
  bool include_virtual_host = false;               // RouteAction.include_vh_rate_limits
};

}  // namespace sluice
