// TcpProxyTunneling (tunneling_config): the connection goes on through a proxy, which is asked by
// CONNECT or POST. Immutable, shared by all workers.
#pragma once

#include <string>

#include "api/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "source/extension/factory_context.h"
#include "source/http/h1/client_session.h"
#include "source/net/stream.h"
#include "source/observe/format/formatter.h"
#include "source/observe/format/header_edits.h"

namespace sluice {

class TcpProxyTunneling {
 public:
  using Proto = envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy::TunnelingConfig;

  /// Main thread. What is wrong is reported at `context.path`.tunneling_config. InvalidArgument, in
  /// words of its own, for a hostname that is no format.
  static absl::StatusOr<TcpProxyTunneling> Build(const Proto& config, FactoryContext& context);

  /// Worker: asks the proxy at the end of `stream`; what goes through the returned one goes on to
  /// the tunnel's other end. Answers, refusals too, become filter state where that is wanted.
  /// Errors: kConnectRefused when the proxy refuses, kInternal when the hostname came out as none,
  /// kCancelled. Bound it with a Deadline.
  Task<absl::StatusOr<StreamPtr>> Ask(StreamPtr stream, Exchange& exchange,
                                      ClientSession::Limits limits) const;
  /// Whether the tunnel's bytes travel in the bodies of messages.
  bool is_framed() const { return !post_path_.empty(); }

 private:
  explicit TcpProxyTunneling(Formatter hostname) : hostname_(std::move(hostname)) {}
  absl::StatusOr<RequestHeadPtr> MakeHead(Exchange& exchange) const;
  void AddRequestId(RequestHead& head, Exchange& exchange) const;

  Formatter hostname_;
  HeaderEdits headers_;
  std::string post_path_;          // empty: CONNECT
  std::string request_id_header_;  // empty: none
  std::string request_id_key_;     // in the dynamic metadata
  bool keep_headers_ = false, keep_trailers_ = false;
};

}  // namespace sluice
