// Reading a ClientHello and putting it back. Worker threads; what is built from the configuration,
// main thread.
#include "extensions/filters/listener/tls_inspector/tls_inspector.h"

#include "api/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.pb.h"
#include "source/base/reason.h"
#include "source/net/client_hello.h"
#include "source/net/prefix_stream.h"

namespace sluice {
namespace {

using State = ClientHello::State;

// Reads until it is clear what the connection begins with, or there is more than `most`.
Task<absl::Status> ReadHello(Stream& stream, size_t most, std::string& bytes, ClientHello& hello) {
  while (hello.state == State::kNeedMore && bytes.size() <= most) {
    if (!co_await stream.WaitReadable()) co_return MakeError(Reason::kCancelled);
    char buffer[2048];
    const auto count = stream.TryRead(absl::MakeSpan(buffer));
    if (!count.ok()) co_return count.status();
    if (!count->has_value()) continue;
    if (**count == 0) co_return MakeError(Reason::kDownstreamClosed);
    bytes.append(buffer, **count);
    hello = ParseClientHello(bytes);
  }
  co_return absl::OkStatus();
}

}  // namespace

TlsInspectorStats::TlsInspectorStats(const stats::Scope& scope)
    : client_hello_too_large(scope.counter("client_hello_too_large")),
      tls_found(scope.counter("tls_found")),
      tls_not_found(scope.counter("tls_not_found")),
      alpn_found(scope.counter("alpn_found")),
      alpn_not_found(scope.counter("alpn_not_found")),
      sni_found(scope.counter("sni_found")),
      sni_not_found(scope.counter("sni_not_found")) {}

Task<absl::Status> TlsInspector::Inspect(Connection& connection) const {
  std::string bytes;
  ClientHello hello;
  const absl::Status read =
      co_await ReadHello(*connection.stream, settings_.max_size, bytes, hello);
  const bool too_large = hello.state == State::kNeedMore && bytes.size() > settings_.max_size;
  if (!bytes.empty())
    connection.stream =
        std::make_unique<PrefixStream>(std::move(bytes), std::move(connection.stream));
  if (!read.ok()) co_return read;
  if (too_large) stats_.client_hello_too_large.Add();
  if (too_large || (hello.state == State::kBad && settings_.close_on_errors))
    co_return MakeError(Reason::kDownstreamProtocol, "a ClientHello that is too large or broken");
  if (hello.state != State::kDone) {
    stats_.tls_not_found.Add();
    co_return absl::OkStatus();
  }
  stats_.tls_found.Add();
  (hello.server_name.empty() ? stats_.sni_not_found : stats_.sni_found).Add();
  (hello.application_protocols.empty() ? stats_.alpn_not_found : stats_.alpn_found).Add();
  ConnectionFacts::Findings& findings = connection.facts.AddFindings();
  findings.transport_protocol = "tls";
  findings.requested_server_name = hello.server_name;
  co_return absl::OkStatus();
}

namespace {

using Proto = envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector;

absl::StatusOr<ListenerFilterPtr> Create(const Proto& config, FactoryContext& context) {
  TlsInspector::Settings settings;
  settings.close_on_errors = config.close_connection_on_client_hello_parsing_errors();
  if (config.has_max_client_hello_size())
    settings.max_size = config.max_client_hello_size().value();
  return std::make_unique<TlsInspector>(settings, context.server.stats.Root().Sub("tls_inspector"));
}

}  // namespace

void RegisterTlsInspector(Registry& registry) {
  registry.AddListenerFilter<Proto>("envoy.filters.listener.tls_inspector",
                                    Posture::kRobustToUntrustedBoth, Create);
}

}  // namespace sluice
