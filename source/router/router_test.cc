// The router over a cluster whose picks are scripted: local answers, failures, timeouts and
// retries.
#include "source/router/router.h"

#include <deque>

#include <catch2/catch.hpp>

#include "source/base/reason.h"
#include "source/http/testing/exchange.h"
#include "source/router/mirror.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;

// Fails each pick with the next status of the script; after its end a pick lasts until it is
// cancelled.
class ScriptedCluster final : public Cluster {
 public:
  ScriptedCluster(stats::Store& store, uint32_t max_retries, Duration max_stream_duration)
      : Cluster(Settings(max_retries, max_stream_duration), envoy::config::cluster::v3::Cluster(),
                store.Root().Sub("cluster").Sub("c"), SocketDialer(), 1) {}

  Task<absl::StatusOr<EndpointPtr>> Pick(const SendOptions& options,
                                         Exchange& exchange) const override {
    ++picks;
    last_hash = options.hash;
    if (on_pick) on_pick();
    if (script.empty()) {
      exchange.time.upstream_first_sent = Now();  // As if it were on its connection.
      co_await Sleep(std::chrono::hours(1));
      co_return MakeError(Reason::kCancelled);
    }
    const Reason reason = script.front();
    script.pop_front();
    co_return MakeError(reason);
  }
  std::vector<HostView> Hosts() const override { return {}; }
  bool uses_hash() const override { return hashes; }
  void DropPools(int) const override {}

  mutable std::deque<Reason> script;
  mutable int picks = 0;
  mutable uint64_t last_hash = 0;
  bool hashes = false;
  std::function<void()> on_pick;

 private:
  static ClusterSettings Settings(uint32_t max_retries, Duration max_stream_duration) {
    ClusterSettings settings;
    settings.thresholds[static_cast<size_t>(Priority::kDefault)].max_retries = max_retries;
    settings.max_stream_duration = max_stream_duration;
    settings.name = "c";
    return settings;
  }
};

struct Setting {
  explicit Setting(uint32_t breaker_retries = 3, Duration max_stream_duration = {})
      : cluster(store, breaker_retries, max_stream_duration) {
    route.cluster_name = "c";
    exchange.set_route(&route);
    exchange.set_request_head(std::make_unique<RequestHead>());
    exchange.request_head()->method = "GET";
    exchange.request_head()->scheme = "http";
    exchange.request_head()->authority = "h";
    exchange.request_head()->path = "/p";
  }

  void SetRetries(const char* on, uint32_t count, Duration per_try = {}) {
    auto policy = std::make_shared<RetryPolicy>();
    policy->on = ParseRetryOn(on, nullptr);
    policy->max_retries = count;
    policy->per_try_timeout = per_try;
    policy->base_interval = policy->max_interval = milliseconds(1);
    route.retry = policy;
  }

  Response Handle() {
    Exchange& base = exchange;
    base.worker().scope().Spawn(Run(), base.canceller());
    base.worker().Run();
    return std::move(response);
  }
  Task<> Run() {
    Exchange& base = exchange;
    const HttpFilterChain chain;
    response = co_await router.Handle(Request{base.request_head(), std::move(body)}, base,
                                      Next(chain, base, 1));
    if (response.body != nullptr) {
      auto text = co_await ReadAll(response.body.get(), 1000);
      if (text.ok()) answer = *text;
    }
    base.worker().Stop();
  }
  int64_t Count(const char* name) { return store.Value(Cat("http.p.", name)); }
  int64_t ClusterCount(const char* name) { return store.Value(Cat("cluster.c.", name)); }
  bool Has(ResponseFlag flag) { return exchange.flags().Has(flag); }

  stats::Store store;
  ScriptedCluster cluster;
  Route route;
  testing::TestExchange exchange;
  Router router{
      {.find_cluster = [this](std::string_view name,
                              const Worker&) { return name == "c" ? &cluster : nullptr; }},
      store.Root().Sub("http").Sub("p")};
  BodyPtr body;
  Response response;
  std::string answer;
};

TEST_CASE("no route", "[router]") {
  Setting setting;
  setting.exchange.set_route(nullptr);
  CHECK(setting.Handle().head->status == 404);
  CHECK(setting.answer.empty());
  CHECK(setting.exchange.details() == "route_not_found");
  CHECK(setting.Has(ResponseFlag::kNoRouteFound));
  CHECK(setting.Count("no_route") == 1);
  CHECK(setting.Count("rq_total") == 1);
}

TEST_CASE("no cluster", "[router]") {
  Setting setting;
  setting.route.cluster_name = "nope";
  setting.route.cluster_not_found_status = 500;
  CHECK(setting.Handle().head->status == 500);
  CHECK(setting.exchange.details() == "cluster_not_found");
  CHECK(setting.Has(ResponseFlag::kNoClusterFound));
  CHECK(setting.Count("no_cluster") == 1);
}

TEST_CASE("a direct response", "[router]") {
  Setting setting;
  setting.route.action = Route::Action::kDirectResponse;
  setting.route.direct = std::make_shared<DirectResponse>(DirectResponse{418, "tea", nullptr, {}});
  const Response response = setting.Handle();
  CHECK(response.head->status == 418);
  CHECK(response.head->headers.Get("content-type") == "text/plain");
  CHECK(setting.answer == "tea");
  CHECK(setting.exchange.details() == "direct_response");
  CHECK(setting.Count("rq_direct_response") == 1);
}

TEST_CASE("a redirect", "[router]") {
  Setting setting;
  setting.route.action = Route::Action::kRedirect;
  setting.route.redirect = std::make_shared<Redirect>(Redirect{.scheme = "https"});
  const Response response = setting.Handle();
  CHECK(response.head->status == 301);
  CHECK(response.head->headers.Get("location") == "https://h/p");
  CHECK(setting.Count("rq_redirect") == 1);
}

TEST_CASE("a failure becomes its answer", "[router]") {
  Setting setting;
  setting.cluster.script = {Reason::kConnectRefused};
  CHECK(setting.Handle().head->status == 503);
  CHECK(setting.Has(ResponseFlag::kUpstreamConnectionFailure));
  CHECK(setting.ClusterCount("upstream_rq_503") == 1);
  CHECK(setting.ClusterCount("external.upstream_rq_5xx") == 1);
  CHECK(setting.ClusterCount("upstream_rq_completed") == 1);
  CHECK(setting.exchange.request_head()->headers.Get("x-envoy-expected-rq-timeout-ms") == "15000");
}

TEST_CASE("the route's timeout", "[router]") {
  for (const bool with_retries : {false, true}) {
    CAPTURE(with_retries);
    Setting setting;
    setting.route.timeout = milliseconds(20);
    if (with_retries) setting.SetRetries("5xx", 5);
    CHECK(setting.Handle().head->status == 504);
    CHECK(setting.answer == "upstream request timeout");
    CHECK(setting.exchange.details() == "response_timeout");
    CHECK(setting.Has(ResponseFlag::kUpstreamRequestTimeout));
    CHECK(setting.ClusterCount("upstream_rq_timeout") == 1);
    CHECK(setting.ClusterCount("upstream_rq_504") == 1);
    CHECK(setting.cluster.picks == 1);
  }
}

TEST_CASE("a client that goes away ends the request", "[router]") {
  Setting setting;
  Exchange& exchange = setting.exchange;
  setting.cluster.on_pick = [&exchange] {
    exchange.worker().Post([&exchange] { exchange.canceller().Cancel(Reason::kDownstreamClosed); });
  };
  setting.Handle();
  CHECK(setting.Has(ResponseFlag::kDownstreamConnectionTermination));
  CHECK(setting.ClusterCount("upstream_rq_completed") == 0);
}

TEST_CASE("retries until an attempt fails for good", "[router]") {
  Setting setting;
  setting.SetRetries("connect-failure", 3);
  setting.route.request_attempt_count = true;
  setting.cluster.script = {Reason::kConnectRefused, Reason::kConnectTimeout,
                            Reason::kNoHealthyUpstream};
  CHECK(setting.Handle().head->status == 503);
  CHECK(setting.cluster.picks == 3);
  CHECK(setting.exchange.upstream.attempts == 3);
  CHECK(setting.exchange.request_head()->headers.Get("x-envoy-attempt-count") == "3");
  CHECK(setting.Has(ResponseFlag::kNoHealthyUpstream));
  CHECK_FALSE(setting.Has(ResponseFlag::kUpstreamRetryLimitExceeded));
  CHECK(setting.ClusterCount("upstream_rq_retry") == 2);
  CHECK(setting.ClusterCount("retry.upstream_rq_5xx") == 0);
  CHECK(setting.ClusterCount("upstream_rq_503") == 1);
  CHECK(setting.cluster.breaker(Priority::kDefault).InUse(Resource::kRetries) == 0);
}

TEST_CASE("retries until the limit", "[router]") {
  Setting setting;
  setting.SetRetries("5xx", 2);
  setting.body = TextBody("hello");
  setting.cluster.script = {Reason::kConnectRefused, Reason::kConnectRefused,
                            Reason::kConnectRefused, Reason::kConnectRefused};
  CHECK(setting.Handle().head->status == 503);
  CHECK(setting.cluster.picks == 3);
  CHECK(setting.Has(ResponseFlag::kUpstreamRetryLimitExceeded));
  CHECK(setting.ClusterCount("upstream_rq_retry_limit_exceeded") == 1);
}

TEST_CASE("retries as far as the breaker allows", "[router]") {
  Setting setting(0);
  setting.SetRetries("5xx", 2);
  setting.cluster.script = {Reason::kConnectRefused};
  CHECK(setting.Handle().head->status == 503);
  CHECK(setting.cluster.picks == 1);
  CHECK(setting.ClusterCount("upstream_rq_retry_overflow") == 1);
}

TEST_CASE("each try has its own timeout", "[router]") {
  Setting setting;
  setting.SetRetries("gateway-error", 1, milliseconds(10));
  CHECK(setting.Handle().head->status == 504);
  CHECK(setting.cluster.picks == 2);
  CHECK(setting.exchange.details() == "upstream_per_try_timeout");
  CHECK(setting.ClusterCount("upstream_rq_per_try_timeout") == 2);
}

TEST_CASE("each try has its own patience", "[router]") {
  Setting setting;
  setting.SetRetries("5xx", 1);
  auto policy = std::make_shared<RetryPolicy>(*setting.route.retry);
  policy->per_try_idle_timeout = milliseconds(20);
  setting.route.retry = policy;
  CHECK(setting.Handle().head->status == 504);
  CHECK(setting.cluster.picks == 2);
  CHECK(setting.exchange.details() == "upstream_per_try_idle_timeout");
  CHECK(setting.ClusterCount("upstream_rq_per_try_idle_timeout") == 2);
}

TEST_CASE("the cluster's max_stream_duration", "[router]") {
  Setting setting(3, milliseconds(10));
  setting.exchange.time.request_received = Now();
  CHECK(setting.Handle().head->status == 504);
  CHECK(setting.answer == "upstream max stream duration reached");
  CHECK(setting.Has(ResponseFlag::kUpstreamMaxStreamDurationReached));
  CHECK(setting.ClusterCount("upstream_rq_max_duration_reached") == 1);
}

TEST_CASE("an answer tells of the attempts before", "[router]") {
  Setting setting;
  setting.SetRetries("5xx", 1);
  setting.route.response_attempt_count = true;
  setting.cluster.script = {Reason::kConnectRefused, Reason::kConnectRefused};
  const Response response = setting.Handle();
  CHECK(response.head->headers.Get("x-envoy-attempt-count") == "2");
  CHECK(setting.answer ==
        "upstream connect error or disconnect/reset before headers. retried and the latest reset "
        "reason: remote connection failure");
}

TEST_CASE("an internal client may want 204 for a timeout", "[router]") {
  Setting setting;
  Headers& headers = setting.exchange.request_head()->headers;
  headers.AddCopy("x-envoy-internal", "true");
  headers.AddCopy("x-envoy-upstream-rq-timeout-ms", "10");
  headers.AddCopy("x-envoy-upstream-rq-timeout-alt-response", "1");
  CHECK(setting.Handle().head->status == 204);
  CHECK(setting.answer.empty());
  CHECK(setting.ClusterCount("upstream_rq_204") == 1);
}

TEST_CASE("a hash is computed for balancers that want one", "[router]") {
  envoy::config::route::v3::RouteAction action;
  action.add_hash_policy()->mutable_header()->set_header_name("x-user");
  for (const bool hashes : {true, false}) {
    Setting setting;
    config::Diagnostics diagnostics;
    setting.route.hash = HashPolicies::Build(action.hash_policy(), "", diagnostics);
    setting.cluster.hashes = hashes;
    setting.cluster.script = {Reason::kNoHealthyUpstream};
    setting.exchange.request_head()->headers.AddCopy("x-user", "ann");
    setting.Handle();
    CHECK((setting.cluster.last_hash != 0) == hashes);
  }
}

TEST_CASE("a shadow's host", "[mirror]") {
  CHECK(ShadowHost("a.t") == "a.t-shadow");
  CHECK(ShadowHost("a.t:80") == "a.t-shadow:80");
  CHECK(ShadowHost("[::1]:80") == "[::1]-shadow:80");
}

// Never gives anything.
class SilentBody final : public Body {
 public:
  Task<absl::StatusOr<Chunk>> Read() override {
    co_await Sleep(std::chrono::hours(1));
    co_return MakeError(Reason::kCancelled);
  }
};

Task<> ReadRouted(Setting& setting, Body& body, absl::Status* status) {
  *status = (co_await body.Read()).status();
  Exchange& base = setting.exchange;
  // The exchange itself goes on.
  CHECK_FALSE(co_await kIsCancelled);
  base.worker().Stop();
}

TEST_CASE("the route's timeout ends an answer that has begun", "[router]") {
  Setting setting;
  Exchange& exchange = setting.exchange;
  const RouterStats stats(setting.store.Root().Sub("http").Sub("p"));
  RoutedBody body(exchange, setting.cluster, stats, Now());
  body.timer().Start(milliseconds(10), true);
  body.Carry(std::make_unique<SilentBody>(), {});
  absl::Status status;
  exchange.worker().scope().Spawn(ReadRouted(setting, body, &status), exchange.canceller());
  exchange.worker().Run();
  CHECK(ReasonOf(status) == Reason::kUpstreamTimeout);
  CHECK(setting.Count("rq_reset_after_downstream_response_started") == 1);
  CHECK(setting.ClusterCount("upstream_rq_timeout") == 1);
}

}  // namespace
}  // namespace sluice
