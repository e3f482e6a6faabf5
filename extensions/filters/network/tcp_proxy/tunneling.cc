// Through a proxy. Worker threads; Build, main thread.
#include "extensions/filters/network/tcp_proxy/tunneling.h"

#include <google/protobuf/struct.pb.h>

#include "api/envoy/extensions/request_id/uuid/v3/uuid.pb.h"
#include "source/base/reason.h"
#include "source/http/framing.h"
#include "source/http/h1/tunnel_request.h"
#include "source/http/request_id.h"
#include "source/observe/format/json_string.h"

namespace sluice {
namespace {

// What the proxy has answered, as filter state.
class Fields final : public FilterStateObject {
 public:
  /// `status` 0: trailers.
  Fields(int status, const Headers& headers) {
    json_ = R"({"headers":[)";
    if (status != 0) Add(":status", Cat(status));
    for (const Header& header : headers) Add(header.name, header.value);
    json_ += "]}";
  }
  std::string ToString() const override { return json_; }
  std::string ToJson() const override { return json_; }

 private:
  void Add(std::string_view name, std::string_view value) {
    json_ += json_.back() == '[' ? R"({"key":)" : R"(,{"key":)";
    AppendJsonString(name, &json_);
    json_ += R"(,"value":)";
    AppendJsonString(value, &json_);
    json_ += '}';
  }
  std::string json_;
};

void Keep(std::string_view what, int status, const Headers& headers, Exchange& exchange) {
  exchange.set_filter_state(Cat("envoy.tcp_proxy.propagate_response_", what),
                            std::make_shared<Fields>(status, headers));
}

// The writer lets no client's Proxy-Authorization pass. This one is ours: it goes under a name that
// is nobody's.
void LetCredentialsPass(Headers& headers) {
  const auto credentials = headers.GetJoined(HeaderId::kProxyAuthorization);
  if (!credentials.has_value()) return;
  headers.Remove(HeaderId::kProxyAuthorization);
  headers.Add(HeaderId::kOther, HeaderName(HeaderId::kProxyAuthorization), *credentials);
}

}  // namespace

absl::StatusOr<TcpProxyTunneling> TcpProxyTunneling::Build(const Proto& config,
                                                           FactoryContext& context) {
  auto hostname = Formatter::FromText(
      config.hostname(),
      {.omit_empty_values = true, .escaping = Formatter::Escaping::kHeaderValue});
  if (!hostname.ok()) return hostname.status();
  TcpProxyTunneling tunneling(*std::move(hostname));
  tunneling.headers_ =
      HeaderEdits::Build(config.headers_to_add(), {}, context.path + ".tunneling_config",
                         "headers_to_add", "", context.server.diagnostics);
  tunneling.keep_headers_ = config.propagate_response_headers();
  tunneling.keep_trailers_ = config.propagate_response_trailers();
  if (config.use_post())
    tunneling.post_path_ = config.post_path().empty() ? "/" : config.post_path();
  if (!config.use_post() && !config.post_path().empty())
    context.Error("tunneling_config.post_path",
                  "Can't set a post path when POST method isn't used");
  if (!config.has_request_id_extension()) {
    if (!config.request_id_header().empty() || !config.request_id_metadata_key().empty())
      context.Error("tunneling_config",
                    "request_id_header and request_id_metadata_key go with request_id_extension");
    return tunneling;
  }
  using Uuid = envoy::extensions::request_id::uuid::v3::UuidRequestIdConfig;
  if (!config.request_id_extension().typed_config().Is<Uuid>())
    context.Error("tunneling_config.request_id_extension", "use envoy.request_id.uuid");
  tunneling.request_id_header_ = config.request_id_header().empty()
                                     ? HeaderName(HeaderId::kXRequestId)
                                     : ToLower(config.request_id_header());
  if (!IsToken(tunneling.request_id_header_))
    context.Error("tunneling_config.request_id_header", "is no header name");
  tunneling.request_id_key_ = config.request_id_metadata_key().empty()
                                  ? "tunnel_request_id"
                                  : config.request_id_metadata_key();
  return tunneling;
}

void TcpProxyTunneling::AddRequestId(RequestHead& head, Exchange& exchange) const {
  const std::string_view id = MakeRequestId(exchange.worker().rng(), head.arena);
  head.headers.AddCopy(request_id_header_, id);
  auto metadata = std::make_shared<google::protobuf::Struct>();
  (*metadata->mutable_fields())[request_id_key_].set_string_value(std::string(id));
  exchange.set_metadata("envoy.filters.network.tcp_proxy", std::move(metadata));
}

absl::StatusOr<RequestHeadPtr> TcpProxyTunneling::MakeHead(Exchange& exchange) const {
  std::string hostname;
  hostname_.Format(LogContext{exchange, "TcpConnectionStart"}, &hostname);
  if (hostname.empty() || hostname.find_first_of(" \t\r\n") != std::string::npos)
    return MakeError(Reason::kInternal, "tunneling_config.hostname gave no host");
  auto head = std::make_unique<RequestHead>();
  head->method = post_path_.empty() ? "CONNECT" : "POST";
  head->authority = head->arena.Copy(hostname);
  head->path = post_path_;
  if (!request_id_header_.empty()) AddRequestId(*head, exchange);
  headers_.Apply(head->headers, exchange);
  LetCredentialsPass(head->headers);
  return head;
}

Task<absl::StatusOr<StreamPtr>> TcpProxyTunneling::Ask(StreamPtr stream, Exchange& exchange,
                                                       ClientSession::Limits limits) const {
  exchange.upstream.transport_failure.clear();
  auto head = MakeHead(exchange);
  if (!head.ok()) co_return head.status();
  std::function<void(Headers&)> on_trailers;
  if (keep_trailers_)
    on_trailers = [&exchange](Headers& trailers) { Keep("trailers", 0, trailers, exchange); };
  auto answer = co_await AskForTunnel(std::move(stream), *std::move(head), exchange, limits,
                                      std::move(on_trailers));
  if (!answer.ok()) {
    // A proxy that breaks off has not connected us.
    if (ReasonOf(answer.status()) == Reason::kCancelled) co_return answer.status();
    co_return MakeError(Reason::kConnectRefused, "the proxy gave no answer");
  }
  const int status = answer->head->status;
  if (keep_headers_) Keep("headers", status, answer->head->headers, exchange);
  if (answer->stream != nullptr) co_return std::move(answer->stream);
  exchange.upstream.transport_failure = Cat("tunnel_response:", status);
  co_return MakeError(Reason::kConnectRefused, Cat("the proxy answered ", status));
}

}  // namespace sluice
