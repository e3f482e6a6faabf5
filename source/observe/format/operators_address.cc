// Operators that print addresses and ports of both sides. Stateless, any thread.
#include <arpa/inet.h>

#include <charconv>
#include <cstring>

#include "source/base/strings.h"
#include "source/observe/format/operators.h"

namespace sluice::format_internal {
namespace {

const Address& DownstreamRemote(const Exchange& exchange) {
  return exchange.remote_address();
}
const Address& DownstreamDirectRemote(const Exchange& exchange) {
  return exchange.connection().direct_remote();
}
const Address& DownstreamLocal(const Exchange& exchange) {
  return exchange.connection().local;
}
const Address& DownstreamDirectLocal(const Exchange& exchange) {
  return exchange.connection().direct_local();
}
const Address& UpstreamLocal(const Exchange& exchange) {
  return exchange.upstream.local;
}
const Address& UpstreamRemote(const Exchange& exchange) {
  return exchange.upstream.remote;
}
// The other end of the connection, where one came about.
const Address& UpstreamPeer(const Exchange& exchange) {
  static const Address kNone;
  return exchange.upstream.connection_id == 0 ? kNone : exchange.upstream.remote;
}

// The first `prefix` bits of an address in network order.
void Mask(uint8_t* bytes, int size, int prefix) {
  for (int i = 0; i < size; ++i) {
    const int bits = std::min(std::max(prefix - 8 * i, 0), 8);
    bytes[i] &= static_cast<uint8_t>(0xff << (8 - bits));
  }
}

// "10.1.0.0" or "::1", masked where prefix >= 0.
void AppendIp(const Address& address, int prefix, std::string* out) {
  char text[INET6_ADDRSTRLEN];
  uint8_t bytes[16];
  const bool is_v4 = address.family() == AF_INET;
  const int size = is_v4 ? 4 : 16;
  std::memcpy(bytes,
              is_v4 ? static_cast<const void*>(&address.v4().sin_addr) : &address.v6().sin6_addr,
              static_cast<size_t>(size));
  if (prefix >= 0) {
    Mask(bytes, size, prefix);
  }
  if (is_v4) {  // a third of the cost of a log line, by way of inet_ntop
    char* end = text;
    for (int i = 0; i < 4; ++i) {
      if (i > 0) *end++ = '.';
      end = std::to_chars(end, text + sizeof(text), bytes[i]).ptr;
    }
    out->append(text, static_cast<size_t>(end - text));
    return;
  }
  out->append(inet_ntop(address.family(), bytes, text, sizeof(text)));
}

Rendered AppendAddress(const Address& address, bool port, std::string* out) {
  if (!address.is_set()) {
    return Rendered::kMissing;
  }
  const bool scoped = address.family() == AF_INET6 && address.v6().sin6_scope_id != 0;
  if (!address.is_ip() || scoped) {
    return AppendText(port ? address.ToString() : address.IpString(), out);
  }
  const bool brackets = port && address.family() == AF_INET6;
  out->append(brackets ? "[" : "");
  AppendIp(address, -1, out);
  out->append(brackets ? "]" : "");
  if (port) {
    out->push_back(':');
    AppendNumber(address.port(), out);
  }
  return Rendered::kString;
}

using Get = const Address& (*)(const Exchange&);

template <Get kGet>
Rendered Full(const Operator&, const LogContext& context, std::string* out) {
  return AppendAddress(kGet(context.exchange), true, out);
}

template <Get kGet>
Rendered WithoutPort(const Operator& op, const LogContext& context, std::string* out) {
  const Address& address = kGet(context.exchange);
  if (op.option < 0) {
    return AppendAddress(address, false, out);
  }
  if (!address.is_ip() || (address.family() == AF_INET && op.option > 32)) {
    return Rendered::kMissing;
  }
  AppendIp(address, op.option, out);
  out->push_back('/');
  AppendNumber(static_cast<uint64_t>(op.option), out);
  return Rendered::kString;
}

template <Get kGet>
Rendered Port(const Operator&, const LogContext& context, std::string* out) {
  const Address& address = kGet(context.exchange);
  return address.is_ip() ? AppendNumber(address.port(), out) : Rendered::kMissing;
}

// Of Envoy's internal addresses, which no connection here has: as for those of the network there,
// empty.
Rendered EndpointId(const Operator&, const LogContext&, std::string*) {
  return Rendered::kString;
}

// An optional prefix length, as in _WITHOUT_PORT(24).
absl::Status CompileMask(const std::string_view* argument, Operator* op) {
  op->option = -1;
  if (argument == nullptr) {
    return absl::OkStatus();
  }
  const auto prefix = ParseDecimal<int>(*argument);
  if (!prefix.has_value() || *prefix > 128) {
    return Invalid("takes the length of a prefix (0 to 128), not '", *argument, "'");
  }
  op->option = *prefix;
  return absl::OkStatus();
}

// --- All hosts that were tried, the last one too, in their order ---

UpstreamFacts::Attempt Last(const UpstreamFacts& upstream) {
  return {upstream.host, upstream.remote, upstream.connection_id};
}

using AppendAttempt = Rendered (*)(const UpstreamFacts::Attempt&, std::string*);

template <AppendAttempt kAppend>
Rendered Attempted(const Operator&, const LogContext& context, std::string* out) {
  const UpstreamFacts& upstream = context.exchange.upstream;
  const size_t start = out->size();
  const auto append = [&](const UpstreamFacts::Attempt& attempt) {
    const size_t before = out->size();
    if (before > start) out->push_back(',');
    if (kAppend(attempt, out) == Rendered::kMissing) out->resize(before);
  };
  for (const UpstreamFacts::Attempt& attempt : upstream.earlier) append(attempt);
  append(Last(upstream));
  return out->size() > start ? Rendered::kString : Rendered::kMissing;
}

template <bool kPort>
Rendered AttemptedAddress(const UpstreamFacts::Attempt& attempt, std::string* out) {
  return AppendAddress(attempt.remote, kPort, out);
}

template <bool kPort>
Rendered AttemptedName(const UpstreamFacts::Attempt& attempt, std::string* out) {
  const std::string_view name =
      attempt.host == nullptr ? "" : std::string_view(attempt.host->hostname);
  if (name.empty()) return AppendAddress(attempt.remote, kPort, out);
  return AppendText(kPort ? name : HostOf(name), out);
}

Rendered AttemptedConnection(const UpstreamFacts::Attempt& attempt, std::string* out) {
  return attempt.connection_id == 0 ? Rendered::kMissing : AppendNumber(attempt.connection_id, out);
}

Rendered HostName(const Operator&, const LogContext& context, std::string* out) {
  const UpstreamFacts& upstream = context.exchange.upstream;
  return AttemptedName<true>(Last(upstream), out);
}

Rendered HostNameWithoutPort(const Operator&, const LogContext& context, std::string* out) {
  const UpstreamFacts& upstream = context.exchange.upstream;
  return AttemptedName<false>(Last(upstream), out);
}

}  // namespace

absl::Span<const OperatorType> AddressOperators() {
  static constexpr OperatorType kOperators[] = {
      {"DOWNSTREAM_REMOTE_ADDRESS", nullptr, Full<DownstreamRemote>, true},
      {"DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", CompileMask, WithoutPort<DownstreamRemote>, true},
      {"DOWNSTREAM_REMOTE_PORT", nullptr, Port<DownstreamRemote>, false},
      {"DOWNSTREAM_DIRECT_REMOTE_ADDRESS", nullptr, Full<DownstreamDirectRemote>, true},
      {"DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", CompileMask,
       WithoutPort<DownstreamDirectRemote>, true},
      {"DOWNSTREAM_DIRECT_REMOTE_PORT", nullptr, Port<DownstreamDirectRemote>, false},
      {"DOWNSTREAM_DIRECT_LOCAL_ADDRESS", nullptr, Full<DownstreamDirectLocal>, true},
      {"DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT", CompileMask,
       WithoutPort<DownstreamDirectLocal>, true},
      {"DOWNSTREAM_DIRECT_LOCAL_PORT", nullptr, Port<DownstreamDirectLocal>, false},
      {"DOWNSTREAM_LOCAL_ADDRESS", nullptr, Full<DownstreamLocal>, true},
      {"DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", CompileMask, WithoutPort<DownstreamLocal>, true},
      {"DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID", nullptr, EndpointId, false},
      {"DOWNSTREAM_LOCAL_PORT", nullptr, Port<DownstreamLocal>, false},
      {"UPSTREAM_HOST", nullptr, Full<UpstreamRemote>, true},
      {"UPSTREAM_HOST_NAME", nullptr, HostName, true},
      {"UPSTREAM_HOST_NAME_WITHOUT_PORT", nullptr, HostNameWithoutPort, true},
      {"UPSTREAM_HOSTS_ATTEMPTED", nullptr, Attempted<AttemptedAddress<true>>, true},
      {"UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT", nullptr, Attempted<AttemptedAddress<false>>, true},
      {"UPSTREAM_HOST_NAMES_ATTEMPTED", nullptr, Attempted<AttemptedName<true>>, true},
      {"UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT", nullptr, Attempted<AttemptedName<false>>,
       true},
      {"UPSTREAM_CONNECTION_IDS_ATTEMPTED", nullptr, Attempted<AttemptedConnection>, true},
      {"UPSTREAM_LOCAL_ADDRESS", nullptr, Full<UpstreamLocal>, true},
      {"UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", CompileMask, WithoutPort<UpstreamLocal>, true},
      {"UPSTREAM_LOCAL_PORT", nullptr, Port<UpstreamLocal>, false},
      {"UPSTREAM_REMOTE_ADDRESS", nullptr, Full<UpstreamPeer>, true},
      {"UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", CompileMask, WithoutPort<UpstreamPeer>, true},
      {"UPSTREAM_REMOTE_PORT", nullptr, Port<UpstreamPeer>, false},
  };
  return kOperators;
}

}  // namespace sluice::format_internal
