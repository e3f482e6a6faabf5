// The end of a tunnel. Worker thread only.
#include "source/router/terminate.h"

#include "source/base/reason.h"
#include "source/http/exchange.h"
#include "source/net/proxy_protocol.h"

namespace sluice {
namespace {

// The endpoint's bytes as a response's body.
class StreamBody final : public Body {
 public:
  StreamBody(std::shared_ptr<Stream> stream, Exchange& exchange)
      : stream_(std::move(stream)), exchange_(exchange) {}
  ~StreamBody() override { stream_->Close(); }

  Task<absl::StatusOr<Chunk>> Read() override {
    while (true) {
      BufferRef buffer = BufferRef::Take(BufferRef::kSmall);
      const auto count = stream_->TryRead({buffer.data(), buffer.size()});
      if (!count.ok()) co_return count.status();
      if (count->has_value()) {
        exchange_.Touch();
        const std::string_view data(buffer.data(), **count);
        co_return data.empty() ? Chunk() : Chunk{std::move(buffer), data};
      }
      buffer.reset();  // While it is silent a stream holds no buffer.
      if (!co_await stream_->WaitReadable()) co_return MakeError(Reason::kCancelled);
    }
  }

 private:
  const std::shared_ptr<Stream> stream_;
  Exchange& exchange_;
};

// Lets the client go on when the endpoint has said all.
class Outlives final : public FilterStateObject {
 public:
  std::string ToString() const override { return "true"; }
};

// Until the client has sent all: the end of its body is an end for the endpoint.
Task<> PumpBody(std::shared_ptr<Stream> stream, BodyPtr body) {
  while (true) {
    const auto chunk = co_await body->Read();
    if (!chunk.ok()) {
      stream->Close(true);
      co_return;
    }
    if (chunk->empty()) break;
    const std::string_view part[] = {chunk->data};
    // An endpoint that reads no more may still speak.
    if (!(co_await stream->Write(part)).ok()) co_return;
  }
  stream->ShutdownWrite();
}

}  // namespace

bool EndsTunnel(const Route& route, const RequestHead& head) {
  return route.terminates_connect &&
         (head.is_connect() || (route.terminates_post && head.method == "POST"));
}

Task<absl::StatusOr<Response>> TerminateTunnel(Request& request, Exchange& exchange,
                                               const Route& route, const Cluster& cluster,
                                               const SendOptions& options) {
  auto connected = co_await cluster.Connect(exchange, options);
  if (!connected.ok()) co_return connected.status();
  if (route.connect_proxy_version != 0) {
    const std::string header = WriteProxyHeader(
        route.connect_proxy_version, exchange.connection().remote, exchange.connection().local);
    const std::string_view part[] = {header};
    if (absl::Status written = co_await (*connected)->Write(part); !written.ok()) co_return written;
  }
  Response response{std::make_unique<ResponseHead>(200), nullptr, nullptr};
  if (request.head->is_connect()) {
    response.tunnel = *std::move(connected);
    co_return response;
  }
  std::shared_ptr<Stream> stream = *std::move(connected);
  if (request.body == nullptr) {
    stream->ShutdownWrite();
  } else {
    exchange.set_filter_state(kOutlivesResponse, std::make_shared<Outlives>());
    exchange.scope().Spawn(PumpBody(stream, std::move(request.body)));
  }
  response.body = std::make_unique<StreamBody>(std::move(stream), exchange);
  co_return response;
}

}  // namespace sluice
