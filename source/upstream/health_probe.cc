// The two kinds of health checks over HTTP/1.1 and TCP. Main thread.
#include "source/base/reason.h"
#include "source/http/h1/client_session.h"
#include "source/upstream/health_checker.h"
#include "source/upstream/transport.h"

namespace sluice {
namespace {

using SettingsPtr = std::shared_ptr<const HealthCheckSettings>;

// A longer body is nobody's health page; what follows is not read, and the connection is given up.
constexpr size_t kMaxBody = 1024 * 1024;

// True when all parts stand in `text`, one behind the other.
bool HoldsAll(std::string_view text, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) {
    const size_t at = text.find(part);
    if (at == std::string_view::npos) return false;
    text.remove_prefix(at + part.size());
  }
  return true;
}

ProbeResult ResultOf(const absl::Status& error) {
  return ReasonOf(error) == Reason::kCancelled ? ProbeResult::kCancelled : ProbeResult::kNetwork;
}

// A connection that begins as the cluster's do.
Task<absl::StatusOr<StreamPtr>> ConnectFor(SettingsPtr settings, Worker& main, Canceller& canceller,
                                           const Dialer& dialer, Address address,
                                           DialOptions options) {
  auto stream =
      co_await Connect(main, canceller, dialer, {address}, std::move(options), Duration());
  if (!stream.ok() || settings->transport == nullptr) co_return stream;
  const std::string beginning = settings->transport->BeginningOf(**stream);
  const std::string_view part[] = {beginning};
  if (absl::Status written = co_await (*stream)->Write(part); !written.ok()) co_return written;
  co_return stream;
}

// A check has no client behind it.
class ProbeExchange final : public Exchange {
 public:
  using Exchange::Exchange;
  Task<absl::Status> SendInterim(ResponseHeadPtr) override { co_return absl::OkStatus(); }
  void LimitIdle(Duration) override {}
  void LimitDuration(Duration) override {}
  void Touch() override {}
};

// Stays with its probe when an exchange has ended well.
class ProbeSession final : public ClientSession {
 public:
  using ClientSession::ClientSession;

 private:
  void OnReleased(std::shared_ptr<ClientSession>) override {
    if (!reusable()) Close();
  }
};

class Http final : public HealthProbe {
 public:
  Http(SettingsPtr settings, const HealthTarget& target, const Dialer& dialer, DialOptions options)
      : settings_(std::move(settings)),
        address_(target.address),
        host_(target.hostname.empty() ? settings_->http->host : target.hostname),
        dialer_(dialer),
        options_(std::move(options)) {}

  Task<ProbeResult> Check(Worker& main, Canceller& canceller) override {
    if (session_ != nullptr && session_->IsStale()) Close();
    if (session_ == nullptr) {
      auto stream = co_await ConnectFor(settings_, main, canceller, dialer_, address_, options_);
      if (!stream.ok()) co_return ResultOf(stream.status());
      session_ = std::make_shared<ProbeSession>(main, *std::move(stream), ClientSession::Limits(),
                                                ClientSession::Meters());
    }
    Scope scope;
    const ProbeResult result = co_await Ask(main, scope, canceller);
    scope.Cancel();
    co_await scope.Join();
    if (!settings_->reuse_connection || !session_->reusable()) Close();
    co_return result;
  }

  void Close() override {
    if (session_ != nullptr) session_->Close();
    session_ = nullptr;
  }

 private:
  Task<ProbeResult> Ask(Worker& main, Scope& scope, Canceller& canceller) {
    ProbeExchange exchange(main, scope, canceller, facts_);
    exchange.set_request_head(std::make_unique<RequestHead>());
    RequestHead& head = *exchange.request_head();
    head.method = settings_->http->method;
    head.scheme = "http";
    head.authority = host_;
    head.path = settings_->http->path;
    head.headers.Add(HeaderId::kUserAgent, "Envoy/HC");
    settings_->http->edits.Apply(head.headers, exchange);
    Request request{&head, nullptr};
    if (!settings_->http->send.empty()) request.body = StaticBody(settings_->http->send);
    auto response = co_await ClientSession::RoundTrip(SessionLease(session_), request, exchange);
    if (!response.ok()) co_return ResultOf(response.status());
    if (response->tunnel != nullptr) co_return ProbeResult::kFailed;
    std::string text;
    if (response->body != nullptr) {
      auto body = co_await ReadAll(response->body.get(), kMaxBody);
      if (!body.ok() && ReasonOf(body.status()) != Reason::kRequestTooLarge)
        co_return ResultOf(body.status());
      if (body.ok()) text = *std::move(body);
      response->body = nullptr;
    }
    co_return Judge(*response->head, text, main.rng());
  }

  ProbeResult Judge(ResponseHead& head, std::string_view body, Rng& rng) const {
    const HealthCheckSettings::Http& http = *settings_->http;
    if (!HealthCheckSettings::Range::Holds(http.expected, head.status)) {
      return HealthCheckSettings::Range::Holds(http.retriable, head.status)
                 ? ProbeResult::kRetriable
                 : ProbeResult::kFailed;
    }
    const size_t searched = http.searched == 0 ? body.size() : http.searched;
    if (!HoldsAll(body.substr(0, searched), http.receive)) return ProbeResult::kFailed;
    if (http.service.has_value() && http.verified.Draw(rng)) {
      http.verify_cluster.Add();
      const auto name = head.headers.Get("x-envoy-upstream-healthchecked-cluster");
      if (!http.service->Matches(name.value_or(""))) return ProbeResult::kFailed;
    }
    return head.headers.Get("x-envoy-degraded").has_value() ? ProbeResult::kDegraded
                                                            : ProbeResult::kPassed;
  }

  const SettingsPtr settings_;
  const Address address_;
  const std::string host_;
  const Dialer& dialer_;
  const DialOptions options_;
  const ConnectionFacts facts_;
  std::shared_ptr<ProbeSession> session_;
};

class Tcp final : public HealthProbe {
 public:
  Tcp(SettingsPtr settings, const HealthTarget& target, const Dialer& dialer, DialOptions options)
      : settings_(std::move(settings)),
        address_(target.address),
        dialer_(dialer),
        options_(std::move(options)) {}

  Task<ProbeResult> Check(Worker& main, Canceller& canceller) override {
    // A kept connection that has ended, or has bytes of an earlier check, is of no use.
    char byte;
    if (stream_ != nullptr) {
      const auto read = stream_->TryRead({&byte, 1});
      if (!read.ok() || read->has_value()) Close();
    }
    if (stream_ == nullptr) {
      auto stream = co_await ConnectFor(settings_, main, canceller, dialer_, address_, options_);
      if (!stream.ok()) co_return ResultOf(stream.status());
      stream_ = *std::move(stream);
    }
    const ProbeResult result = co_await Talk();
    const bool speaks = !settings_->tcp.send.empty() || !settings_->tcp.receive.empty();
    if (result != ProbeResult::kPassed || !settings_->reuse_connection || !speaks) Close();
    co_return result;
  }

  void Close() override {
    if (stream_ != nullptr) stream_->Close();
    stream_ = nullptr;
  }

 private:
  Task<ProbeResult> Talk() {
    if (!settings_->tcp.send.empty()) {
      const std::string_view part = settings_->tcp.send;
      const absl::Status written = co_await stream_->Write({&part, 1});
      if (!written.ok()) co_return ResultOf(written);
    }
    std::string received;
    char buffer[1024];
    while (!HoldsAll(received, settings_->tcp.receive)) {
      const auto count = co_await stream_->ReadSome({buffer, sizeof(buffer)});
      if (!count.ok()) co_return ResultOf(count.status());
      if (*count == 0 || received.size() > kMaxBody) co_return ProbeResult::kNetwork;
      received.append(buffer, *count);
    }
    co_return ProbeResult::kPassed;
  }

  const SettingsPtr settings_;
  const Address address_;
  const Dialer& dialer_;
  const DialOptions options_;
  StreamPtr stream_;
};

}  // namespace

std::unique_ptr<HealthProbe> HttpProbe(SettingsPtr settings, const HealthTarget& target,
                                       const Dialer& dialer, DialOptions options) {
  return std::make_unique<Http>(std::move(settings), target, dialer, std::move(options));
}

std::unique_ptr<HealthProbe> TcpProbe(SettingsPtr settings, const HealthTarget& target,
                                      const Dialer& dialer, DialOptions options) {
  return std::make_unique<Tcp>(std::move(settings), target, dialer, std::move(options));
}

}  // namespace sluice
