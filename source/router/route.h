// Route: what becomes of a request once it is matched, with everything computed that can be before
// a request comes. Immutable and shared by all workers.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "source/base/clock.h"
#include "source/http/exchange.h"
#include "source/observe/format/formatter.h"
#include "source/observe/format/header_edits.h"
#include "source/router/hash_policy.h"
#include "source/router/internal_redirect.h"
#include "source/router/mirror_policy.h"
#include "source/router/path_rewrite.h"
#include "source/router/request_stats.h"
#include "source/router/retry.h"
#include "source/router/upgrade.h"
#include "source/upstream/metadata_criteria.h"

namespace sluice {

struct DirectResponse {
  int status = 200;
  std::string body;
  std::shared_ptr<const Formatter> format;  // of the body; null: as it is
  std::string content_type;                 // of the formatted body
};

/// Texts of a route that are made for each request with the operators of the access log.
struct RouteFormats {
  std::optional<Formatter> path;  // path_rewrite
  std::optional<Formatter> host;  // host_rewrite
};

/// One route, or one weighted cluster of a route. Made by RouteTable, and the only kind of
/// RouteBase there is.
struct Route final : RouteBase {
  enum class Action : uint8_t { kForward, kRedirect, kDirectResponse };
  /// How the path was matched, for prefix_rewrite.
  enum class Matched : uint8_t { kWholePath, kPrefix, kNothing };

  Action action = Action::kForward;
  Matched matched = Matched::kNothing;
  size_t matched_prefix = 0;  // kPrefix: its length
  std::string virtual_host;

  // kForward.
  int cluster_not_found_status = 503;
  bool high_priority = false;  // priority: HIGH, of the circuit breakers
  Duration timeout = std::chrono::seconds(
      15);  // from the end of the request to the end of the response; zero: none
  std::string timeout_text = "15000";  // in milliseconds
  std::optional<Duration>
      idle_timeout;  // in place of the connection manager's stream_idle_timeout; zero: none
  std::optional<Duration> max_stream_duration;  // in place of the connection manager's; zero: none
  std::optional<PathRewrite> rewrite;
  std::string host_literal;                       // host_rewrite_literal; empty: none
  std::string host_header;                        // host_rewrite_header, in lower case; empty: none
  std::shared_ptr<const PathRewrite> host_regex;  // host_rewrite_path_regex: of the path
  std::shared_ptr<const RouteFormats> formats;    // null: none
  bool auto_host = false;  // auto_host_rewrite: done by the cluster, which knows the endpoint
  bool append_x_forwarded_host = false;
  bool request_attempt_count = false;  // VirtualHost.include_request_attempt_count
  bool response_attempt_count = false;
  bool timeout_retry_header = false;  // include_is_timeout_retry_header
  std::optional<size_t> body_limit;   // of what is kept of a body; else the listener's
  UpgradeSet upgrades;
  bool terminates_connect =
      false;  // upgrade CONNECT with a connect_config: the tunnel ends at the endpoint
  std::shared_ptr<const RetryPolicy> retry;                 // null: none
  std::shared_ptr<const VirtualClusters> virtual_clusters;  // null: none
  std::shared_ptr<const RequestStats> stats;                // of its stat_prefix; null: none
  std::optional<Duration> max_grpc_timeout;  // set: a gRPC request's own timeout counts, up to it
  Duration grpc_timeout_offset{};
  std::shared_ptr<const HashPolicies> hash;                  // null: none
  std::shared_ptr<const MetadataCriteria> criteria;          // metadata_match; null: none
  std::shared_ptr<const std::vector<MirrorPolicy>> mirrors;  // null: none
  bool terminates_post = false;   // connect_config.allow_post: so does that of a POST
  int connect_proxy_version = 0;  // PROXY header in front of the tunnel's bytes; 0: none

  std::shared_ptr<const Redirect> redirect;      // kRedirect
  std::shared_ptr<const DirectResponse> direct;  // kDirectResponse

  std::shared_ptr<const InternalRedirectPolicy> internal_redirects;  // null: none are followed

  /// Edits in the order in which they are to be applied; none is empty.
  std::vector<std::shared_ptr<const HeaderEdits>> request_edits;
  std::vector<std::shared_ptr<const HeaderEdits>> response_edits;

  /// Edits a response as the route says.
  void EditResponse(Response& response, Exchange& exchange) const;
  /// The same for what the proxy answers itself: the type of its body is what the edits say, and is
  /// there, if only as it was, exactly when there is a body.
  void EditReply(Response& response, Exchange& exchange) const;
  void EditLocalReply(Response& response, Exchange& exchange) const override;
  /// How many bytes at the start of the path the route's matcher took, for RewritePath.
  size_t MatchedLength(const RequestHead& head) const;
};

}  // namespace sluice
