// Copies of requests. Worker thread only.
#include "source/router/mirror.h"

#include "source/base/reason.h"
#include "source/base/strings.h"
#include "source/http/time_limits.h"
#include "source/router/routed_body.h"

namespace sluice {
namespace {

// Of a copy whose route has no timeout.
constexpr Duration kLongestSilence = std::chrono::minutes(5);

class CopyExchange;
void GiveUp(const std::weak_ptr<CopyExchange>& copy);

// Bytes on their way from the request to one copy.
class BodyPipe {
 public:
  // `length`: of the whole body, where it is known: its end comes with its last byte then, since
  // nobody reads beyond it.
  BodyPipe(size_t limit, std::optional<uint64_t> length, std::weak_ptr<CopyExchange> copy)
      : limit_(limit), left_(length), copy_(std::move(copy)) {}

  void Put(std::string_view data) {
    if (failed_) return;
    if (waiting_.size() + data.size() > limit_) return Fail();
    waiting_.append(data);
    if (left_.has_value()) {
      *left_ -= std::min<uint64_t>(*left_, data.size());
      ended_ = *left_ == 0;
    }
    changed_.Set();
  }
  void End() {
    ended_ = true;
    changed_.Set();
  }
  // Half a request is none.
  void Fail() {
    if (ended_ || failed_) return;
    failed_ = true;
    waiting_ = std::string();
    GiveUp(copy_);
  }

  Task<absl::StatusOr<Chunk>> Take() {
    while (!failed_ && !ended_ && waiting_.empty()) {
      changed_.Clear();
      if (!co_await changed_.Wait()) co_return MakeError(Reason::kCancelled);
    }
    if (failed_) co_return MakeError(Reason::kCancelled);
    Chunk chunk = waiting_.empty() ? Chunk() : Chunk::Copy(waiting_);
    waiting_.clear();
    co_return chunk;
  }
  bool Ready() const { return failed_ || ended_ || !waiting_.empty(); }

 private:
  const size_t limit_;
  std::optional<uint64_t> left_;
  const std::weak_ptr<CopyExchange> copy_;
  Event changed_;
  std::string waiting_;
  bool ended_ = false;
  bool failed_ = false;
};
using BodyPipePtr = std::shared_ptr<BodyPipe>;

// The request's own body, which tells the pipes what is read of it.
class TeeBody final : public WrappedBody {
 public:
  TeeBody(BodyPtr source, std::vector<BodyPipePtr> pipes)
      : WrappedBody(std::move(source)), pipes_(std::move(pipes)) {}
  ~TeeBody() override {
    for (const BodyPipePtr& pipe : pipes_) pipe->Fail();
  }

  Task<absl::StatusOr<Chunk>> Read() override {
    auto chunk = co_await inner().Read();
    for (const BodyPipePtr& pipe : pipes_) {
      if (!chunk.ok()) {
        pipe->Fail();
      } else if (chunk->empty()) {
        pipe->End();
      } else {
        pipe->Put(chunk->data);
      }
    }
    co_return chunk;
  }

 private:
  const std::vector<BodyPipePtr> pipes_;
};

// The body of a copy, whose exchange outlives it.
class PipeBody final : public Body {
 public:
  PipeBody(BodyPipePtr pipe, std::optional<uint64_t> length, Exchange& copy)
      : pipe_(std::move(pipe)), left_(length), copy_(copy) {}

  Task<absl::StatusOr<Chunk>> Read() override {
    auto chunk = co_await pipe_->Take();
    if (chunk.ok() && left_.has_value()) *left_ -= std::min<uint64_t>(*left_, chunk->data.size());
    if (chunk.ok() && (left_.has_value() ? *left_ == 0 : chunk->empty()))
      copy_.time.request_received = Now();
    copy_.Touch();
    co_return chunk;
  }
  bool Ready() const override { return pipe_->Ready(); }
  std::optional<uint64_t> Length() const override { return left_; }

 private:
  const BodyPipePtr pipe_;
  std::optional<uint64_t> left_;
  Exchange& copy_;
};

struct CopyParts {
  explicit CopyParts(const ConnectionFacts& facts) : own_connection(facts) {}
  ConnectionFacts own_connection;
  Scope own_scope;
  Canceller own_canceller;
};

// The exchange of a copy: nobody waits for it.
class CopyExchange final : private CopyParts, public Exchange {
 public:
  explicit CopyExchange(Exchange& original)
      : CopyParts(original.connection()),
        Exchange(original.worker(), own_scope, own_canceller, own_connection) {
    set_remote_address(original.remote_address());
    time.start = time.request_received = Now();
    egress_guard = original.egress_guard;
  }
  Task<absl::Status> SendInterim(ResponseHeadPtr) override { co_return absl::OkStatus(); }
  void LimitIdle(Duration limit) override { limits_.LimitIdle(limit); }
  void LimitDuration(Duration limit) override { limits_.LimitDuration(limit); }
  void Touch() override { limits_.Touch(); }

 private:
  TimeLimits limits_{*this};
};

void GiveUp(const std::weak_ptr<CopyExchange>& copy) {
  if (const auto exchange = copy.lock()) exchange->canceller().Cancel(Reason::kCancelled);
}

RequestHeadPtr CopyHead(const RequestHead& head, const MirrorPolicy& mirror) {
  auto copy = std::make_unique<RequestHead>();
  copy->method = copy->arena.Copy(head.method);
  copy->scheme = copy->arena.Copy(head.scheme);
  copy->path = copy->arena.Copy(head.path);
  copy->version = head.version;
  for (const Header& header : head.headers) copy->headers.AddCopy(header.name, header.value);
  copy->headers.Set(HeaderId::kXEnvoyInternal, "true");
  std::string host(mirror.host.empty() ? head.authority : std::string_view(mirror.host));
  if (mirror.host.empty() && mirror.marks_host) host = ShadowHost(host);
  copy->authority = copy->arena.Copy(host);
  return copy;
}

Task<> Receive(Exchange& exchange, const Cluster& cluster, BodyPtr body) {
  if (cluster.TurnsAway(exchange.worker().rng()) != TurnedAway::kNot) {
    CountAnswer(cluster, 503, {}, exchange);
    co_return;
  }
  Request request{exchange.request_head(), std::move(body)};
  auto response = co_await cluster.Send(request, exchange, SendOptions());
  if (!response.ok()) {
    if (const int status = MeaningOf(ReasonOf(response.status())).status; status != 0)
      CountAnswer(cluster, status, {}, exchange);
    co_return;
  }
  CountAnswer(cluster, response->head->status, {}, exchange);
  while (response->body != nullptr) {
    auto chunk = co_await response->body->Read();
    if (!chunk.ok() || chunk->empty()) break;
    exchange.Touch();
  }
  RecordTime(exchange, cluster, {}, exchange.time.start);
}

Task<> RunCopy(std::shared_ptr<CopyExchange> exchange, const Cluster& cluster, BodyPtr body,
               Duration timeout) {
  Worker& worker = exchange->worker();
  if (timeout <= Duration::zero()) exchange->LimitIdle(kLongestSilence);
  {
    Deadline deadline(worker.wheel(), exchange->canceller(), timeout);
    co_await Receive(*exchange, cluster, std::move(body));
    if (deadline.Expired()) cluster.stats().upstream_rq_timeout.Add();
  }
  exchange->scope().Cancel();
  co_await exchange->scope().Join();
  // Its canceller is this task's own: it may go only when the task has ended.
  worker.Post([kept = std::move(exchange)] {});
}

}  // namespace

std::string ShadowHost(std::string_view host) {
  const std::string_view port = PortOf(host);
  return Cat(host.substr(0, host.size() - port.size()), "-shadow", port);
}

BodyPtr SendCopies(
    const std::vector<MirrorPolicy>& mirrors, Duration timeout,
    const std::function<const Cluster*(std::string_view name, const Worker& worker)>& find_cluster,
    const RequestHead& head, BodyPtr body, Exchange& exchange) {
  // A tunnel is no message that could be sent twice.
  if (head.is_connect() || !head.upgrade.empty()) return body;
  Worker& worker = exchange.worker();
  std::vector<BodyPipePtr> pipes;
  for (const MirrorPolicy& mirror : mirrors) {
    if (mirror.share.has_value() && !mirror.share->Draw(worker.rng())) continue;
    const std::string_view name = mirror.cluster_header.empty()
                                      ? std::string_view(mirror.cluster)
                                      : head.headers.Get(mirror.cluster_header).value_or("");
    const Cluster* cluster = find_cluster(name, worker);
    if (cluster == nullptr) continue;
    auto copy = std::make_shared<CopyExchange>(exchange);
    copy->set_request_head(CopyHead(head, mirror));
    copy->upstream.cluster_name = cluster->name();
    copy->upstream.cluster = &cluster->config();
    if (mirror.edits != nullptr) mirror.edits->Apply(copy->request_head()->headers, *copy);
    BodyPtr copied_body;
    if (body != nullptr) {
      pipes.push_back(
          std::make_shared<BodyPipe>(cluster->settings().buffer_limit, body->Length(), copy));
      copied_body = std::make_unique<PipeBody>(pipes.back(), body->Length(), *copy);
    }
    Canceller& canceller = copy->canceller();
    worker.scope().Spawn(RunCopy(std::move(copy), *cluster, std::move(copied_body), timeout),
                         canceller);
  }
  if (pipes.empty()) return body;
  return std::make_unique<TeeBody>(std::move(body), std::move(pipes));
}

}  // namespace sluice
