// Exchange: one request and its response, from the first byte to the log line: everything that
// filters, the router and the access log share about it. Belongs to one worker.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "source/async/cancel.h"
#include "source/async/scope.h"
#include "source/async/worker.h"
#include "source/base/clock.h"
#include "source/base/metric.h"
#include "source/base/reason.h"
#include "source/base/response_flag.h"
#include "source/base/strings.h"
#include "source/http/connection_state.h"
#include "source/http/message.h"
#include "source/http/upstream_host.h"
#include "source/net/address.h"

namespace envoy::config::cluster::v3 {
class Cluster;
}
namespace envoy::config::core::v3 {
class Metadata;
}
namespace google::protobuf {
class Struct;
}

namespace sluice {

class EgressGuard;
class Exchange;
struct AnswerStats;
struct RouteRateLimits;

/// What a route says to the layers below the router; router/route.h derives from it.
struct RouteBase {
  virtual ~RouteBase() = default;
  /// What the route changes in an answer of the proxy itself; nothing where it forwards nothing.
  virtual void EditLocalReply(Response&, Exchange&) const {}
  /// Route.metadata; null: none.
  std::shared_ptr<const envoy::config::core::v3::Metadata> metadata;
  /// VirtualHost.metadata; null: none.
  std::shared_ptr<const envoy::config::core::v3::Metadata> host_metadata;
  std::string name;
  /// The cluster for this request: `cluster_name`, or what the header `cluster_header` says. Empty
  /// when there is none, or that header is missing. Valid as long as the route and the head.
  std::string_view ClusterFor(const RequestHead& head) const;
  std::string cluster_name;  // empty: a direct response, a redirect, or a header names the cluster
  std::string cluster_header;  // not empty: this request header names the cluster
  /// The configuration of that cluster, which outlives the route; null: not known.
  const envoy::config::cluster::v3::Cluster* cluster = nullptr;
  uint64_t enabled_filters = ~0ull;  // bit i: the chain's filter i runs
  /// Per-route configuration of the chain's filter i: levels, least specific first.
  std::vector<std::vector<const void*>> filter_configs;
  /// What rate-limit filters count its requests under (extension/rate_limit/rate_limit.h); null:
  /// nothing.
  std::shared_ptr<const RouteRateLimits> rate_limits;
};

/// A value that filters share under a name (%FILTER_STATE(name)%).
class FilterStateObject {
 public:
  virtual ~FilterStateObject() = default;
  virtual std::string ToString() const = 0;
  /// The value as JSON, for what is more than a text; empty: it is a text.
  virtual std::string ToJson() const { return {}; }
};

/// What is configured of a filter chain and its listener, for logs.
struct ChainFacts {
  std::string name;
  std::shared_ptr<const envoy::config::core::v3::Metadata> metadata;  // null: none
  std::shared_ptr<const envoy::config::core::v3::Metadata> listener_metadata;
  size_t buffer_limit = 1024 * 1024;  // per_connection_buffer_limit_bytes of the listener

  /// Of what came through no listener.
  static const ChainFacts kNone;
};
inline const ChainFacts ChainFacts::kNone;

/// Facts about the client's connection, shared by its exchanges; outlives them. There may be very
/// many that are idle, so what few connections have lies elsewhere.
struct ConnectionFacts {
  struct Ends {
    Address local, remote;
  };
  /// What listener and network filters have found out.
  struct Findings {
    std::optional<Ends> direct;  // the connection's own, where a PROXY header says otherwise
    std::string requested_server_name;
    std::string_view transport_protocol = "raw_buffer";  // "tls" where it was seen
    /// What network filters say to all exchanges.
    std::vector<std::pair<std::string, std::shared_ptr<const FilterStateObject>>> filter_state;

    static const Findings kNone;
  };

  const Findings& found() const { return findings != nullptr ? *findings : Findings::kNone; }
  /// For the filter that finds something.
  Findings& AddFindings() {
    if (findings == nullptr) findings = std::make_shared<Findings>();
    return *findings;
  }

  /// The two ends of the connection itself.
  const Address& direct_local() const { return found().direct ? found().direct->local : local; }
  const Address& direct_remote() const { return found().direct ? found().direct->remote : remote; }

  uint64_t id = 0;
  TimePoint opened = Now();
  Address local, remote;                         // as the client sees them
  const ChainFacts* chain = &ChainFacts::kNone;  // outlives the connection
  std::shared_ptr<Findings> findings;            // null: none; copies share them
  bool is_tls = false;
  mutable ConnectionState state;
};
inline const ConnectionFacts::Findings ConnectionFacts::Findings::kNone;

/// The filter state of an exchange whose request goes on when its response has ended: a tunnel in
/// bodies.
inline constexpr std::string_view kOutlivesResponse = "sluice.request_outlives_response";

/// How a connection ended, as far as its transport tells.
enum class DetectedClose : uint8_t {
  kNone,  // there was none
  kNormal,
  kRemoteReset,
  kLocalReset,
};

/// Facts about the upstream side, for the log and for headers. Filled by the cluster as they become
/// known; the last attempt wins.
struct UpstreamFacts {
  /// A host that was tried.
  struct Attempt {
    std::shared_ptr<const UpstreamHost> host;  // null: none
    Address remote;
    uint64_t connection_id = 0;  // zero: no connection came about
  };

  /// Another attempt goes to this host. What is known of the one before it moves to `earlier`.
  void Choose(std::shared_ptr<const UpstreamHost> chosen, const Address& address) {
    if (remote.is_set())
      earlier.push_back({std::move(host), remote, std::exchange(connection_id, 0)});
    host = std::move(chosen);
    remote = address;
  }

  std::string_view cluster_name;     // the cluster keeps it; empty: none was found
  std::string_view virtual_cluster;  // of the virtual host; empty: none. The route keeps it.
  std::shared_ptr<const UpstreamHost> host;  // null: none was chosen
  Address remote;                            // the address that was really dialled
  Address local;
  std::string transport_failure;
  std::vector<Attempt> earlier;  // in the order in which they were tried
  /// The cluster's configuration, which it keeps; null: no cluster was found.
  const envoy::config::cluster::v3::Cluster* cluster = nullptr;
  /// How long the last attempt waited for its connection; negative: it did not come to that.
  Duration pool_wait{-1};
  std::string_view local_close_reason;  // why we closed it, a constant; empty: no reason of ours
  uint64_t connection_id = 0;
  /// What answers of the host's zone are counted under, which the cluster keeps; null: nothing.
  const AnswerStats* zone_answers = nullptr;
  bool canary = false;  // the host or its answer says that it is one
  uint32_t attempts = 0;
  HttpVersion version = HttpVersion::kHttp11;
  /// Of a TCP proxy. HTTP sees requests end, not connections: normal once one was wanted.
  DetectedClose close = DetectedClose::kNone;
};

/// Points in time of one exchange; default (epoch) when it did not come to that.
struct TimeMeter {
  TimePoint start{};  // first byte of the request
  WallTime wall_start{};
  TimePoint request_received{};         // last byte of the request (DS_RX_END)
  TimePoint look_up_started{};          // of the name, by the dynamic forward proxy
  TimePoint look_up_ended{};            // the same while it was known already
  TimePoint upstream_connecting{};      // US_CX_BEG
  TimePoint upstream_connected{};       // US_CX_END
  TimePoint upstream_first_sent{};      // US_TX_BEG
  TimePoint upstream_last_sent{};       // US_TX_END
  TimePoint upstream_first_received{};  // US_RX_BEG: head of the response
  TimePoint upstream_body_received{};   // US_RX_BODY_BEG: the first byte of the body
  TimePoint upstream_last_received{};   // US_RX_END
  TimePoint response_first_sent{};      // DS_TX_BEG
  TimePoint response_last_sent{};       // DS_TX_END
  TimePoint connection_closed{};        // DS_CX_END: of an exchange that is a connection
};

/// Bytes of one exchange. Bodies are counted without framing, wires with it.
struct ByteMeter {
  uint64_t body_received = 0;  // %BYTES_RECEIVED%
  uint64_t body_sent = 0;      // %BYTES_SENT%
  uint64_t request_head = 0;
  uint64_t response_head = 0;
  uint64_t downstream_wire_received = 0;
  uint64_t downstream_wire_sent = 0;
  uint64_t upstream_wire_received = 0;
  uint64_t upstream_wire_sent = 0;
  uint64_t upstream_head_received = 0;  // of all attempts, as the wires'
  uint64_t upstream_head_sent = 0;
};

/// Counts, under Envoy's names, how often one side does not take what the other has sent, and
/// reading there pauses. Who knows a side fills in its counters.
struct FlowMeter {
  void UpstreamIsFull() const {
    backed_up.Add();
    client_paused.Add();
  }
  void UpstreamTakesMore() const {
    drained.Add();
    client_resumed.Add();
  }
  void ClientIsFull() const { upstream_paused.Add(); }
  void ClientTakesMore() const { upstream_resumed.Add(); }

  Counter client_paused, client_resumed;      // downstream_flow_control_*_reading_total
  Counter upstream_paused, upstream_resumed;  // upstream_flow_control_*_reading_total
  Counter backed_up, drained;                 // upstream_flow_control_*_total
};

class Exchange {
 public:
  Exchange(Worker& worker, Scope& scope, Canceller& canceller, const ConnectionFacts& connection);
  virtual ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  Worker& worker() { return worker_; }
  /// Where to spawn work that ends with this exchange; joined before the exchange dies.
  Scope& scope() { return scope_; }
  /// Cancels the exchange; also what a Deadline interrupts.
  Canceller& canceller() { return canceller_; }

  const ConnectionFacts& connection() const { return connection_; }
  /// Null where none was found, or looked for (a bad head, a request that is refused at once).
  const RouteBase* route() const { return route_; }
  /// The route outlives the exchange.
  void set_route(const RouteBase* route) { route_ = route; }

  /// The client's address: the peer, or what a trusted hop says (%DOWNSTREAM_REMOTE_ADDRESS%).
  const Address& remote_address() const { return remote_address_; }
  void set_remote_address(const Address& address) { remote_address_ = address; }

  /// Records why the request ended as it did.
  void Note(ResponseFlag flag) { flags_.Add(flag); }
  const ResponseFlags& flags() const { return flags_; }
  void set_details(std::string_view details) { details_.assign(details); }
  std::string_view details() const { return details_; }
  /// The details of a failure and its flag, as reason.h has them.
  void Note(const absl::Status& error);
  /// The last failure that was noted, or that cut the response; kUnknown: none.
  Reason failure() const { return failure_; }
  void set_failure(Reason failure) { failure_ = failure; }
  /// Takes over what `other`, of the same connection, says of its outcome: flags, details, bytes,
  /// the upstream side.
  void TakeOutcome(const Exchange& other);
  void set_termination_details(std::string_view details) { termination_details_.assign(details); }
  std::string_view termination_details() const { return termination_details_; }

  /// Sends an interim (1xx) response to the client at once; ignored where the client's version has
  /// none, and once the final response has begun. Errors: kDownstreamClosed, kCancelled.
  virtual Task<absl::Status> SendInterim(ResponseHeadPtr head) = 0;

  /// The longest silence in both directions, from now on: then the exchange is cancelled with
  /// kStreamIdleTimeout. Zero: no limit. It replaces the limit before, as the next one does.
  virtual void LimitIdle(Duration limit) = 0;
  /// The longest life of the exchange, counted from time.start: kMaxStreamDuration.
  virtual void LimitDuration(Duration limit) = 0;
  /// Something moved: the idle limit counts from now.
  virtual void Touch() = 0;

  /// The request's head as it is now; null when none could be read. With head_refused it is no
  /// request, and only what could be read of one.
  RequestHead* request_head() const { return request_head_.get(); }
  void set_request_head(RequestHeadPtr head) { request_head_ = std::move(head); }
  /// The response's head and trailers, for the log; the session sets them when it writes the
  /// response.
  ResponseHead* response_head() const { return response_head_; }
  void set_response_head(ResponseHead* head) { response_head_ = head; }
  /// Keeps the head that was set until the log line is written.
  void keep_response(ResponseHeadPtr head) { kept_response_ = std::move(head); }
  Headers* response_trailers() const { return response_trailers_; }
  void set_response_trailers(Headers* trailers) { response_trailers_ = trailers; }
  std::string_view local_reply_body() const { return local_reply_body_; }
  void set_local_reply_body(std::string_view body) { local_reply_body_.assign(body); }

  /// Shared values by name, those of the connection among them; made when first set.
  const FilterStateObject* filter_state(std::string_view name) const;
  void set_filter_state(std::string_view name, std::shared_ptr<const FilterStateObject> object);
  /// Dynamic metadata by namespace; null when unset.
  const google::protobuf::Struct* metadata(std::string_view name_space) const;
  void set_metadata(std::string_view name_space, std::shared_ptr<google::protobuf::Struct> value);
  /// Adds fields that the configuration owns, and that outlive the exchange, as the name space
  /// does. It costs two stores, unless the name space has fields already: then both are merged.
  void AddMetadata(std::string_view name_space, const google::protobuf::Struct& fields);

  /// What tells a connection that carries no requests from others; those have their x-request-id.
  void set_stream_id(std::string_view id) { extras().stream_id = id; }
  std::string_view stream_id() const {
    return extras_ == nullptr ? std::string_view() : std::string_view(extras_->stream_id);
  }

  /// An origin has sent an interim (1xx) response; whoever counts its answers takes them.
  void AddInterim(int status) { extras().interims.push_back(status); }
  bool has_interims() const { return extras_ != nullptr && !extras_->interims.empty(); }
  std::vector<int> TakeInterims() { return std::exchange(extras().interims, {}); }

  /// What may be dialled for this request; null: what the process says
  /// (upstream/egress/egress_guard.h). Owned by the configuration.
  const EgressGuard* egress_guard = nullptr;

  /// Bit i: filter i of the chain edits the response itself (HttpFilterChain::edit_every_response).
  uint64_t seen_by = 0;
  UpstreamFacts upstream;
  TimeMeter time;
  ByteMeter bytes;
  FlowMeter flow;
  std::string_view local_close_reason;  // why we closed the client's connection, as upstream's
  DetectedClose close = DetectedClose::kNormal;  // of the client's connection, as upstream's
  /// Of a connection as a whole, which has no head; empty: it carried no request.
  std::optional<HttpVersion> connection_version;
  bool head_refused = false;
  bool tunnel_established = false;
  bool response_cut = false;  // begun, and ended by us before its end
  bool health_check =
      false;  // a load balancer asks whether we live; set by the filter that answers

 protected:
  /// Lets go of what filters keep. A body may be among it that tells its source of its end: for
  /// destructors of exchanges that are such a source.
  void DropExtras();

 private:
  struct Extras {  // What few requests have.
    StringMap<std::shared_ptr<const FilterStateObject>> filter_state;
    StringMap<std::shared_ptr<google::protobuf::Struct>> metadata;
    std::string stream_id;
    std::vector<int> interims;  // statuses
  };
  Extras& extras();

  Worker& worker_;
  Scope& scope_;
  Canceller& canceller_;
  const ConnectionFacts& connection_;
  const RouteBase* route_ = nullptr;
  Address remote_address_;
  ResponseFlags flags_;
  Reason failure_ = Reason::kUnknown;
  std::string details_;
  std::string termination_details_;
  RequestHeadPtr request_head_;
  ResponseHead* response_head_ = nullptr;
  ResponseHeadPtr kept_response_;
  Headers* response_trailers_ = nullptr;
  std::string local_reply_body_;
  std::unique_ptr<Extras> extras_;
  struct SharedMetadata {
    std::string_view name_space;
    const google::protobuf::Struct* fields = nullptr;  // null: unused
  };
  SharedMetadata shared_metadata_[2];
};

/// What a log line or a header value is made from.
struct LogContext {
  const Exchange& exchange;
  std::string_view log_type = "DownstreamEnd";  // %ACCESS_LOG_TYPE%
};

}  // namespace sluice
