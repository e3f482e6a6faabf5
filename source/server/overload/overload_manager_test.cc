// The overload manager: what it makes of pressures, and which configurations it refuses. One
// thread.
#include "source/server/overload/overload_manager.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include <catch2/catch.hpp>

#include <google/protobuf/text_format.h>

#include "source/base/strings.h"

namespace sluice {
namespace {

constexpr std::string_view kInjected = "envoy.resource_monitors.injected_resource";

// Counts up: the share of hits over kFull draws is exact.
struct Counting {
  uint64_t next = 0;
  uint64_t Below(uint64_t bound) { return next++ % bound; }
};

struct Fixture {
  Fixture() {
    char name[] = "/tmp/sluice_pressure.XXXXXX";
    ::close(::mkstemp(name));
    file = name;
  }
  ~Fixture() { ::unlink(file.c_str()); }

  void Press(std::string_view pressure) {
    std::ofstream(file) << pressure;
    manager.Refresh();
  }
  std::string Injected() const {
    return Cat("resource_monitors { name: '", kInjected, "' typed_config {",
               "[type.googleapis.com/envoy.extensions.resource_monitors.injected_resource.v3."
               "InjectedResourceConfig] { filename: '",
               file, "' } } }");
  }
  static std::string Action(std::string_view name, std::string_view trigger) {
    return Cat(" actions { name: 'envoy.overload_actions.", name, "' triggers { name: '", kInjected,
               "' ", trigger, " } }");
  }
  void Configure(const std::string& text) {
    envoy::config::overload::v3::OverloadManager config;
    REQUIRE(google::protobuf::TextFormat::ParseFromString(text, &config));
    const MonitorContext context{[this] { return connections; },
                                 [this](int64_t most) { limit = most; }};
    manager.Configure(config, "overload_manager", context, diagnostics);
  }
  int64_t Value(std::string_view name) { return store.Value(Cat("overload.", name)); }

  std::string file;
  int64_t connections = 0;
  int64_t limit = 0;
  config::Diagnostics diagnostics;
  stats::Store store;
  OverloadManager manager{store};
};

TEST_CASE("a threshold turns an action on and off") {
  Fixture fixture;
  fixture.Configure(fixture.Injected() +
                    Fixture::Action("stop_accepting_requests", "threshold { value: 0.9 }"));
  REQUIRE(fixture.diagnostics.ok());
  Counting rng;
  const OverloadState& state = fixture.manager.state();
  const std::pair<const char*, bool> steps[] = {
      {"0", false}, {"0.89", false}, {"0.9", true}, {"1", true}, {"0.5", false}};
  for (const auto& [pressure, due] : steps) {
    INFO(pressure);
    fixture.Press(pressure);
    CHECK(state.Applies(OverloadState::kStopAcceptingRequests, rng) == due);
    CHECK(state.Saturated(OverloadState::kStopAcceptingRequests) == due);
    CHECK_FALSE(state.Applies(OverloadState::kDisableKeepalive, rng));
    CHECK(fixture.Value("envoy.overload_actions.stop_accepting_requests.active") == (due ? 1 : 0));
  }
}

TEST_CASE("a scaled trigger takes its share of all cases") {
  Fixture fixture;
  fixture.Configure(fixture.Injected() +
                    Fixture::Action("disable_http_keepalive",
                                    "scaled { scaling_threshold: 0.5 saturation_threshold: 0.9 }"));
  REQUIRE(fixture.diagnostics.ok());
  const OverloadState& state = fixture.manager.state();
  const std::pair<const char*, int> steps[] = {{"0.5", 0}, {"0.7", 50}, {"0.8", 75}, {"0.95", 100}};
  for (const auto& [pressure, percent] : steps) {
    INFO(pressure);
    fixture.Press(pressure);
    Counting rng;
    int hits = 0;
    for (int i = 0; i < 65535; ++i)
      hits += state.Applies(OverloadState::kDisableKeepalive, rng) ? 1 : 0;
    CHECK(hits / 655.35 == Approx(percent).margin(0.01));
    CHECK(state.Saturated(OverloadState::kDisableKeepalive) == (percent == 100));
    CHECK(fixture.Value("envoy.overload_actions.disable_http_keepalive.scale_percent") ==
          Approx(percent).margin(1));
    CHECK(fixture.Value("envoy.overload_actions.disable_http_keepalive.active") ==
          (percent == 100 ? 1 : 0));
  }
}

TEST_CASE("a load shed point turns its share away, and counts it") {
  Fixture fixture;
  fixture.Configure(
      Cat(fixture.Injected(),
          " loadshed_points { name: 'envoy.load_shed_points.hcm_ondata_creating_codec' triggers {"
          " name: '",
          kInjected, "' scaled { scaling_threshold: 0 saturation_threshold: 1 } } }"));
  REQUIRE(fixture.diagnostics.ok());
  const OverloadState& state = fixture.manager.state();
  const std::string name = "envoy.load_shed_points.hcm_ondata_creating_codec.";
  int64_t shed = 0;
  for (const auto& [pressure, due] : {std::pair{"0", 0}, {"0.25", 25}, {"1", 100}, {"0", 0}}) {
    INFO(pressure);
    fixture.Press(pressure);
    CHECK(fixture.Value(name + "scale_percent") == due);
    Counting rng;
    for (int i = 0; i < 65535; ++i) shed += state.Applies(OverloadState::kShedCodec, rng) ? 1 : 0;
    // The others are untouched.
    CHECK_FALSE(state.Applies(OverloadState::kShedAccept, rng));
    CHECK_FALSE(state.Applies(OverloadState::kStopAcceptingRequests, rng));
    fixture.manager.CountShed();
    CHECK(fixture.Value(name + "shed_load_count") == shed);
  }
  CHECK(shed / 655.35 == Approx(125).margin(0.01));
}

TEST_CASE("a pressure that cannot be read is counted and the last one stands") {
  Fixture fixture;
  fixture.Configure(fixture.Injected() +
                    Fixture::Action("stop_accepting_connections", "threshold { value: 0.5 }"));
  const std::string name = std::string(kInjected);
  fixture.Press("0.6");
  CHECK(fixture.Value(name + ".pressure") == 60);
  for (const char* broken : {"", "much", "-1", "nan", "2"}) {
    INFO(broken);
    const int64_t failed = fixture.Value(name + ".failed_updates");
    fixture.Press(broken);
    CHECK(fixture.Value(name + ".failed_updates") == failed + 1);
    CHECK(fixture.manager.state().Saturated(OverloadState::kStopAcceptingConnections));
  }
  fixture.Press("0.1");
  CHECK_FALSE(fixture.manager.state().Saturated(OverloadState::kStopAcceptingConnections));
}

TEST_CASE("the strongest of several triggers counts, and memory is given back") {
  Fixture fixture;
  fixture.connections = 5;
  fixture.Configure(
      fixture.Injected() +
      "resource_monitors { name: 'cx' typed_config { [type.googleapis.com/envoy.extensions."
      "resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig] {"
      " max_active_downstream_connections: 10 } } }"
      "resource_monitors { name: 'heap' typed_config { [type.googleapis.com/envoy.extensions."
      "resource_monitors.fixed_heap.v3.FixedHeapConfig] { max_heap_size_bytes: 1 } } }"
      "resource_monitors { name: 'fd' typed_config { [type.googleapis.com/sluice.overload.v1."
      "FileDescriptorsConfig] { max_descriptors: 1 } } }"
      "actions { name: 'envoy.overload_actions.reject_incoming_connections' triggers { name: 'cx' "
      "threshold { value: 0.5 } } triggers { name: 'envoy.resource_monitors.injected_resource' "
      "threshold { value: 0.5 } } }"
      "actions { name: 'envoy.overload_actions.shrink_heap' triggers { name: 'heap' threshold { "
      "value: 1 } } }");
  REQUIRE(fixture.diagnostics.ok());
  CHECK(fixture.limit == 10);
  fixture.Press("0");
  CHECK(fixture.manager.state().Saturated(OverloadState::kRejectConnections));
  CHECK(fixture.Value("cx.pressure") == 50);
  CHECK(fixture.Value("fd.pressure") >= 100);
  CHECK(fixture.Value("heap.pressure") > 100);
  CHECK(fixture.Value("envoy.overload_actions.shrink_heap.shrink_count") == 1);
  fixture.connections = 4;
  fixture.Press("0");
  CHECK_FALSE(fixture.manager.state().Saturated(OverloadState::kRejectConnections));
}

TEST_CASE("what is configured wrongly is refused") {
  const std::string threshold = "threshold { value: 0.5 }";
  const auto action = [&](std::string_view name) { return Fixture::Action(name, threshold); };
  Fixture names;
  const std::string injected = names.Injected();
  const std::pair<std::string, const char*> cases[] = {
      {injected + injected, "Duplicate resource monitor"},
      {"resource_monitors { name: 'x' }", "Didn't find a registered implementation for 'x'"},
      {injected + action("reset_high_memory_stream"), "Unknown Overload Manager Action"},
      {injected + action("shrink_heap") + action("shrink_heap"), "Duplicate overload action"},
      {injected +
           "actions { name: 'envoy.overload_actions.shrink_heap' triggers { name: 'x' threshold {} "
           "} }",
       "Unknown trigger resource x for overload action envoy.overload_actions.shrink_heap"},
      {injected + Fixture::Action("shrink_heap",
                                  "scaled { scaling_threshold: 0.9 saturation_threshold: 0.9 }"),
       "scaling_threshold must be less than saturation_threshold"},
      {Cat(injected,
           "loadshed_points { name: 'envoy.load_shed_points.hcm_decode_headers' triggers {",
           " name: '", kInjected, "' threshold {} } }"),
       "Unknown load shed point envoy.load_shed_points.hcm_decode_headers; there are "},
      {injected + "refresh_interval { nanos: 1 }", "must be at least 1 ms"},
  };
  for (const auto& [text, message] : cases) {
    INFO(text);
    Fixture fixture;
    fixture.Configure(text);
    REQUIRE_FALSE(fixture.diagnostics.ok());
    CHECK_THAT(fixture.diagnostics.ToString(), Catch::Contains(message));
  }
}

}  // namespace
}  // namespace sluice
