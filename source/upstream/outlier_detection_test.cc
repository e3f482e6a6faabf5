// Who is ejected, why, for how long.
#include "source/upstream/outlier_detection.h"

#include <catch2/catch.hpp>
#include <functional>
#include <future>

#include "source/config/runtime_layers.h"
#include "source/upstream/testing/endpoints.h"

namespace sluice {
namespace {

using Config = envoy::config::cluster::v3::OutlierDetection;

// A cluster's detector and hosts; what is posted to the main thread runs in Settle().
struct Fixture {
  explicit Fixture(const Config& config, size_t count = 10, config::Runtime* runtime = nullptr)
      : detector(std::make_shared<OutlierDetector>(
            OutlierSettings(config, runtime), store.Root(), main,
            [this] {
              return std::vector<std::shared_ptr<const HostStats>>(hosts.begin(), hosts.end());
            },
            [this](const HostStats&) { ++changes; })) {
    for (size_t i = 0; i < count; ++i) hosts.push_back(std::make_shared<HostStats>());
    main.Start();
  }
  ~Fixture() {
    main.Stop();
    main.Join();
  }

  // On the main thread, after all that was posted there before.
  void OnMain(const std::function<void()>& what) {
    std::promise<void> done;
    main.Post([&] {
      what();
      done.set_value();
    });
    done.get_future().wait();
  }
  void Settle() {
    OnMain([] {});
  }
  void Interval(TimePoint now) {
    OnMain([&] { detector->OnInterval(now); });
  }
  void Answers(size_t host, int status, int count) {
    for (int i = 0; i < count; ++i) {
      (status < 500 ? hosts[host]->rq_success : hosts[host]->rq_error).Add();
      detector->OnAnswer(hosts[host], status);
    }
    Settle();
  }
  void LocalFailures(size_t host, int count) {
    for (int i = 0; i < count; ++i) {
      hosts[host]->rq_error.Add();
      hosts[host]->rq_local_error.Add();
      detector->OnLocalFailure(hosts[host], 503);
    }
    Settle();
  }
  bool Ejected(size_t host) const {
    return hosts[host]->health.Has(HostHealth::kFailedOutlierCheck);
  }
  int64_t Stat(const std::string& name) const { return store.Value(name); }

  stats::Store store;
  Worker main{Worker::kMain, 1};
  std::vector<std::shared_ptr<HostStats>> hosts;
  int changes = 0;
  std::shared_ptr<OutlierDetector> detector;
};

TEST_CASE("a row of server errors ejects, an interrupted one does not") {
  Fixture fixture({});
  fixture.Answers(0, 500, 4);
  fixture.Answers(0, 200, 1);
  fixture.Answers(0, 500, 4);
  CHECK_FALSE(fixture.Ejected(0));
  fixture.Answers(0, 500, 1);
  CHECK(fixture.Ejected(0));
  CHECK(fixture.changes == 1);
  CHECK(fixture.Stat("ejections_active") == 1);
  CHECK(fixture.Stat("ejections_enforced_consecutive_5xx") == 1);
  CHECK(fixture.Stat("ejections_enforced_total") == 1);
  CHECK(fixture.Stat("ejections_total") == 1);
}

TEST_CASE("the runtime's limits go before those of the configuration") {
  config::Runtime runtime;
  Fixture fixture({}, 10, &runtime);
  const auto set = [&](const char* key, const char* text) {
    config::RuntimeLayer layer{"l", {}};
    layer.values[key] = config::ParseRuntimeValue(text);
    fixture.OnMain([&] { runtime.Publish({layer}); });
  };
  set("outlier_detection.consecutive_5xx", "2");
  fixture.Answers(0, 500, 2);
  CHECK(fixture.Ejected(0));
  set("outlier_detection.base_ejection_time_ms", "1000");
  fixture.Interval(Now() + std::chrono::milliseconds(1100));
  CHECK_FALSE(fixture.Ejected(0));
  fixture.Answers(1, 500, 4);
  CHECK_FALSE(fixture.Ejected(1));
  fixture.Answers(1, 500, 1);
  CHECK(fixture.Ejected(1));
}

TEST_CASE("max_ejection_percent") {
  Config config;
  Fixture few(config, 9);
  few.Answers(0, 500, 5);
  CHECK_FALSE(few.Ejected(0));
  CHECK(few.Stat("ejections_overflow") == 1);
  CHECK(few.Stat("ejections_detected_consecutive_5xx") == 1);

  config.mutable_always_eject_one_host()->set_value(true);
  Fixture one(config, 2);
  one.Answers(0, 500, 5);
  one.Answers(1, 500, 5);
  CHECK(one.Ejected(0));
  CHECK_FALSE(one.Ejected(1));

  config.clear_always_eject_one_host();
  config.mutable_max_ejection_percent()->set_value(100);
  Fixture all(config, 2);
  all.Answers(0, 500, 5);
  all.Answers(1, 500, 5);
  CHECK(all.Ejected(0));
  CHECK(all.Ejected(1));
}

TEST_CASE("gateway failures are counted but not enforced by default") {
  Config config;
  config.mutable_consecutive_5xx()->set_value(100);
  config.mutable_consecutive_gateway_failure()->set_value(2);
  Fixture off(config);
  off.Answers(0, 503, 2);
  CHECK_FALSE(off.Ejected(0));
  CHECK(off.Stat("ejections_detected_consecutive_gateway_failure") == 1);
  config.mutable_enforcing_consecutive_gateway_failure()->set_value(100);
  Fixture on(config);
  on.Answers(0, 502, 1);
  on.Answers(0, 500, 1);  // no gateway error
  on.Answers(0, 504, 1);
  CHECK_FALSE(on.Ejected(0));
  on.Answers(0, 502, 1);
  CHECK(on.Ejected(0));
}

TEST_CASE("local failures are server errors, unless they are split off") {
  Config config;
  Fixture together(config);
  together.LocalFailures(0, 5);
  CHECK(together.Ejected(0));
  CHECK(together.Stat("ejections_enforced_consecutive_5xx") == 1);

  config.set_split_external_local_origin_errors(true);
  config.mutable_consecutive_local_origin_failure()->set_value(3);
  Fixture split(config);
  split.LocalFailures(0, 2);
  split.detector->OnConnected(*split.hosts[0]);
  split.LocalFailures(0, 2);
  CHECK_FALSE(split.Ejected(0));
  split.LocalFailures(0, 1);
  CHECK(split.Ejected(0));
  CHECK(split.Stat("ejections_enforced_consecutive_local_origin_failure") == 1);
  CHECK(split.Stat("ejections_detected_consecutive_5xx") == 0);
}

TEST_CASE("ejections last longer each time, and quiet intervals forgive") {
  Config config;
  config.mutable_base_ejection_time()->set_seconds(30);
  config.mutable_max_ejection_time()->set_seconds(50);
  Fixture fixture(config);
  fixture.Answers(0, 500, 5);
  TimePoint now = Now();
  fixture.Interval(now + std::chrono::seconds(29));
  CHECK(fixture.Ejected(0));
  fixture.Interval(now + std::chrono::seconds(31));
  CHECK_FALSE(fixture.Ejected(0));
  CHECK(fixture.Stat("ejections_active") == 0);
  CHECK(fixture.changes == 2);

  fixture.Answers(0, 500, 5);
  now = Now();
  fixture.Interval(now + std::chrono::seconds(49));
  CHECK(fixture.Ejected(0));  // 2 * 30 s, but at most 50
  fixture.Interval(now + std::chrono::seconds(51));
  CHECK_FALSE(fixture.Ejected(0));
  CHECK(fixture.hosts[0]->health.ejection.multiplier == 2);
  fixture.Interval(now + std::chrono::seconds(62));
  fixture.Interval(now + std::chrono::seconds(72));
  CHECK(fixture.hosts[0]->health.ejection.multiplier == 0);
}

TEST_CASE("success rate") {
  Config config;
  Fixture fixture(config);
  for (size_t i = 0; i < 9; ++i) fixture.Answers(i, 200, 100);
  for (int i = 0; i < 50; ++i) {
    fixture.Answers(9, 200, 1);
    fixture.Answers(9, 500, 1);
  }
  CHECK_FALSE(fixture.Ejected(9));
  fixture.Interval(Now());
  CHECK(fixture.Ejected(9));
  CHECK(fixture.hosts[9]->health.ejection.success_rate == 50);
  CHECK(fixture.hosts[0]->health.ejection.success_rate == 100);
  CHECK(fixture.detector->rates().average == 95);
  CHECK(fixture.detector->rates().threshold == Approx(95 - 1.9 * 15));
  CHECK(fixture.Stat("ejections_enforced_success_rate") == 1);
  // The next interval begins with nothing.
  fixture.Interval(Now());
  CHECK(fixture.detector->rates().average == -1);
}

TEST_CASE("too few requests say nothing") {
  Fixture fixture({});
  for (size_t i = 0; i < 10; ++i) fixture.Answers(i, 200, 49);
  fixture.Answers(9, 500, 4);
  fixture.Interval(Now());
  CHECK_FALSE(fixture.Ejected(9));
  CHECK(fixture.hosts[0]->health.ejection.success_rate == -1);
}

TEST_CASE("of too few hosts no rates are told") {
  Fixture four({}, 4), five({}, 5);
  for (Fixture* fixture : {&four, &five}) {
    for (size_t i = 0; i < 4; ++i) fixture->Answers(i, 200, 100);
    fixture->Interval(Now());
  }
  CHECK(four.hosts[0]->health.ejection.success_rate == -1);
  CHECK(five.hosts[0]->health.ejection.success_rate == 100);
}

TEST_CASE("the old counter of success rates counts what is found, enforced or not") {
  Config config;
  config.mutable_enforcing_success_rate()->set_value(0);
  Fixture fixture(config);
  for (size_t i = 0; i < 9; ++i) fixture.Answers(i, 200, 100);
  for (int i = 0; i < 50; ++i) {
    fixture.Answers(9, 200, 1);
    fixture.Answers(9, 500, 1);
  }
  fixture.Interval(Now());
  CHECK_FALSE(fixture.Ejected(9));
  CHECK(fixture.Stat("ejections_success_rate") == 1);
}

TEST_CASE("failure percentage") {
  Config config;
  config.mutable_consecutive_5xx()->set_value(1000);
  config.mutable_enforcing_success_rate()->set_value(0);
  config.mutable_failure_percentage_threshold()->set_value(40);
  config.mutable_failure_percentage_request_volume()->set_value(10);
  Fixture off(config);
  config.mutable_enforcing_failure_percentage()->set_value(100);
  Fixture on(config);
  for (Fixture* fixture : {&off, &on}) {
    for (size_t i = 0; i < 9; ++i) fixture->Answers(i, 200, 10);
    fixture->Answers(9, 200, 6);
    fixture->Answers(9, 500, 4);
    fixture->Interval(Now());
    CHECK(fixture->Stat("ejections_detected_failure_percentage") == 1);
  }
  CHECK_FALSE(off.Ejected(9));
  CHECK(on.Ejected(9));
}

TEST_CASE("local success rate, where errors are split") {
  Config config;
  config.set_split_external_local_origin_errors(true);
  config.mutable_consecutive_local_origin_failure()->set_value(1000);
  Fixture fixture(config);
  for (size_t i = 0; i < 9; ++i) fixture.Answers(i, 200, 100);
  fixture.Answers(9, 200, 50);
  fixture.LocalFailures(9, 50);
  fixture.Interval(Now());
  CHECK(fixture.Ejected(9));
  CHECK(fixture.Stat("ejections_enforced_local_origin_success_rate") == 1);
  CHECK(fixture.Stat("ejections_detected_success_rate") == 0);
  CHECK(fixture.hosts[9]->health.ejection.local_success_rate == 50);
}

TEST_CASE("a passed health check ends an ejection") {
  Config config;
  Fixture fixture(config);
  fixture.Answers(0, 500, 5);
  fixture.OnMain([&] { fixture.detector->OnHealthCheckPassed(*fixture.hosts[0]); });
  CHECK_FALSE(fixture.Ejected(0));
  config.mutable_successful_active_health_check_uneject_host()->set_value(false);
  Fixture stays(config);
  stays.Answers(0, 500, 5);
  stays.OnMain([&] { stays.detector->OnHealthCheckPassed(*stays.hosts[0]); });
  CHECK(stays.Ejected(0));
}

}  // namespace
}  // namespace sluice
