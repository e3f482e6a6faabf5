// What results of health checks make of a host, and when the next check comes.
#include "source/upstream/health_checker.h"

#include <catch2/catch.hpp>
#include <future>

#include "source/upstream/testing/endpoints.h"

namespace sluice {
namespace {

// Gives the results that it was told to give, then waits for ever; `waiting` tells that it does.
class ScriptedProbe final : public HealthProbe {
 public:
  struct Script {
    std::vector<ProbeResult> results;
    std::promise<void> waiting;
    bool told = false;
  };
  explicit ScriptedProbe(Script& script) : script_(script) {}
  Task<ProbeResult> Check(Worker&, Canceller&) override {
    if (next_ < script_.results.size()) co_return script_.results[next_++];
    if (!std::exchange(script_.told, true)) script_.waiting.set_value();
    co_await Sleep(std::chrono::hours(1));
    co_return ProbeResult::kCancelled;
  }
  void Close() override {}

 private:
  Script& script_;
  size_t next_ = 0;
};

// One host that is checked again and again without a pause.
struct Fixture {
  explicit Fixture(std::vector<ProbeResult> results, uint32_t unhealthy = 2, uint32_t healthy = 2) {
    script.results = std::move(results);
    HealthCheckSettings settings;
    settings.timeout = std::chrono::hours(2);
    settings.unhealthy_threshold = unhealthy;
    settings.healthy_threshold = healthy;
    checker = std::make_shared<HealthChecker>(
        std::make_shared<HealthCheckSettings>(std::move(settings)), store.Root(),
        store.Root().counter("traffic"), main,
        [this](const HealthTarget&) { return std::make_unique<ScriptedProbe>(script); },
        [this](const HostStats&, bool, bool changed) { changes += changed ? 1 : 0; });
    checker->Prepare(*host);
    checker->SetTargets({{host, Address(), ""}});
    checker->Start();
    main.Start();
    script.waiting.get_future().wait();
  }
  ~Fixture() {
    main.Stop();
    main.Join();
  }
  std::string flags() const { return host->health.ToString(); }

  stats::Store store;
  Worker main{Worker::kMain, 1};
  ScriptedProbe::Script script;
  std::shared_ptr<HostStats> host = std::make_shared<HostStats>();
  int changes = 0;
  std::shared_ptr<HealthChecker> checker;
};

using R = ProbeResult;

TEST_CASE("a new host is unhealthy until its first check, whose success is enough") {
  CHECK(Fixture({}).flags() == "/failed_active_hc");
  Fixture fixture({R::kPassed});
  CHECK(fixture.flags() == "healthy");
  CHECK(fixture.changes == 1);
  CHECK(fixture.store.Value("health_check.healthy") == 1);
  CHECK(fixture.store.Value("health_check.attempt") == 2);
  CHECK(fixture.store.Value("health_check.success") == 1);
}

TEST_CASE("unhealthy_threshold counts failures in a row") {
  CHECK(Fixture({R::kPassed, R::kNetwork}).flags() == "healthy");
  CHECK(Fixture({R::kPassed, R::kNetwork, R::kPassed, R::kNetwork}).flags() == "healthy");
  CHECK(Fixture({R::kPassed, R::kNetwork, R::kRetriable}).flags() == "/failed_active_hc");
  CHECK(Fixture({R::kPassed, R::kNetwork, R::kTimeout}).flags() ==
        "/failed_active_hc/active_hc_timeout");
}

TEST_CASE("the last check of a failed host says whether it took too long") {
  CHECK(Fixture({R::kTimeout}).flags() == "/failed_active_hc/active_hc_timeout");
  CHECK(Fixture({R::kPassed, R::kFailed, R::kTimeout}).flags() ==
        "/failed_active_hc/active_hc_timeout");
  CHECK(Fixture({R::kPassed, R::kTimeout, R::kTimeout, R::kFailed}).flags() == "/failed_active_hc");
}

TEST_CASE("an answer that is not expected is final at once") {
  Fixture fixture({R::kPassed, R::kFailed});
  CHECK(fixture.flags() == "/failed_active_hc");
  CHECK(fixture.store.Value("health_check.failure") == 1);
  CHECK(fixture.store.Value("health_check.network_failure") == 0);
}

TEST_CASE("healthy_threshold counts successes in a row") {
  CHECK(Fixture({R::kFailed, R::kPassed}).flags() == "/failed_active_hc");
  CHECK(Fixture({R::kFailed, R::kPassed, R::kPassed}).flags() == "healthy");
  CHECK(Fixture({R::kFailed, R::kPassed, R::kFailed, R::kPassed}).flags() == "/failed_active_hc");
  CHECK(Fixture({R::kPassed, R::kTimeout, R::kTimeout, R::kPassed, R::kPassed}).flags() ==
        "healthy");
}

TEST_CASE("a degraded host") {
  Fixture fixture({R::kDegraded});
  CHECK(fixture.flags() == "/degraded_active_hc");
  CHECK(fixture.store.Value("health_check.degraded") == 1);
  CHECK(Fixture({R::kDegraded, R::kPassed}).flags() == "healthy");
}

TEST_CASE("a host may say itself that it is not well") {
  Fixture fixture({R::kPassed});
  std::promise<void> done;
  fixture.main.Post([&] {
    fixture.checker->OnImmediateFailure(*fixture.host);
    done.set_value();
  });
  done.get_future().wait();
  CHECK(fixture.flags() == "/failed_active_hc/excluded_via_immediate_hc_fail");
  CHECK(fixture.store.Value("health_check.passive_failure") == 1);
}

}  // namespace
}  // namespace sluice
