// Reading a PROXY header. Worker threads; what is built from the configuration, main thread.
#include "extensions/filters/listener/proxy_protocol/proxy_protocol.h"

#include "api/envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol.pb.h"
#include "source/base/reason.h"
#include "source/net/prefix_stream.h"

namespace sluice {
namespace {

using State = ProxyHeader::State;
constexpr size_t kFirstRead = 256;

// Reads until it is clear what the connection begins with.
Task<absl::Status> ReadHeader(Stream& stream, std::string& bytes, ProxyHeader& header) {
  while (header.state == State::kNeedMore) {
    if (!co_await stream.WaitReadable()) co_return MakeError(Reason::kCancelled);
    char buffer[kFirstRead];
    const auto count = stream.TryRead(absl::MakeSpan(buffer));
    if (!count.ok()) co_return count.status();
    if (!count->has_value()) continue;
    if (**count == 0) co_return MakeError(Reason::kDownstreamClosed);
    bytes.append(buffer, **count);
    header = ParseProxyHeader(bytes);
  }
  co_return absl::OkStatus();
}

void PutBack(Connection& connection, std::string bytes) {
  if (bytes.empty()) return;
  connection.stream =
      std::make_unique<PrefixStream>(std::move(bytes), std::move(connection.stream));
}

}  // namespace

ProxyProtocolStats::Version::Version(const stats::Scope& scope)
    : found(scope.counter("found")),
      disallowed(scope.counter("disallowed")),
      error(scope.counter("error")) {}

ProxyProtocolStats::ProxyProtocolStats(const stats::Scope& scope, const stats::Scope& root)
    : not_found_allowed(scope.counter("not_found_allowed")),
      not_found_disallowed(scope.counter("not_found_disallowed")),
      errors(root.counter("downstream_cx_proxy_proto_error")),
      versions{Version(scope.Sub("versions.v1")), Version(scope.Sub("versions.v2"))} {}

Task<absl::Status> ProxyProtocolFilter::Inspect(Connection& connection) const {
  std::string bytes;
  ProxyHeader header;
  if (absl::Status read = co_await ReadHeader(*connection.stream, bytes, header); !read.ok()) {
    PutBack(connection, std::move(bytes));
    co_return read;
  }
  // Where none is needed, a header of a version that is not for us belongs to what follows.
  if (settings_.optional && header.version > 0 && settings_.disallowed[header.version - 1]) {
    header = ProxyHeader();
    header.state = State::kAbsent;
  }
  if (absl::Status judged = Judge(header, connection); !judged.ok()) co_return judged;
  PutBack(connection, bytes.substr(header.size));
  co_return absl::OkStatus();
}

absl::Status ProxyProtocolFilter::Judge(const ProxyHeader& header, Connection& connection) const {
  if (header.state == State::kAbsent) {
    (settings_.optional ? stats_.not_found_allowed : stats_.not_found_disallowed).Add();
    if (settings_.optional) return absl::OkStatus();
    stats_.errors.Add();
    return MakeError(Reason::kDownstreamProtocol, "no PROXY header");
  }
  const ProxyProtocolStats::Version& version = stats_.versions[header.version - 1];
  if (header.state == State::kBad) {
    version.error.Add();
    stats_.errors.Add();
    return MakeError(Reason::kDownstreamProtocol, "a broken PROXY header");
  }
  version.found.Add();
  if (settings_.disallowed[header.version - 1]) {
    version.disallowed.Add();
    return MakeError(Reason::kDownstreamProtocol, "a PROXY header of this version is not allowed");
  }
  if (header.local) return absl::OkStatus();
  ConnectionOrigin& facts = connection.facts;
  ConnectionFacts::Findings& findings = facts.AddFindings();
  if (!findings.direct.has_value()) findings.direct = {facts.local, facts.remote};
  facts.local = header.destination;
  facts.remote = header.source;
  return absl::OkStatus();
}

namespace {

using Proto = envoy::extensions::filters::listener::proxy_protocol::v3::ProxyProtocol;

absl::StatusOr<ListenerFilterPtr> Create(const Proto& config, FactoryContext& context) {
  ProxyProtocolFilter::Settings settings;
  settings.optional = config.allow_requests_without_proxy_protocol();
  for (const int version : config.disallowed_versions()) {
    if (version < 0 || version > 1) return Invalid("disallowed_versions: there is no such version");
    settings.disallowed[version] = true;
  }
  const stats::Scope root = context.server.stats.Root();
  stats::Scope scope = root.Sub("proxy_proto");
  if (!config.stat_prefix().empty()) scope = scope.Sub(config.stat_prefix());
  return std::make_unique<ProxyProtocolFilter>(settings, ProxyProtocolStats(scope, root));
}

}  // namespace

void RegisterProxyProtocol(Registry& registry) {
  registry.AddListenerFilter<Proto>("envoy.filters.listener.proxy_protocol", Posture::kTrustedOnly,
                                    Create);
}

}  // namespace sluice
