// The command line, accepted and refused. Single-threaded.
#include "source/config/options.h"

#include <catch2/catch.hpp>

#include "source/base/strings.h"

namespace sluice::config {
namespace {

std::string Refusal(const std::vector<std::string_view>& arguments) {
  const auto options = ParseOptions(arguments);
  return options.ok() ? "" : std::string(options.status().message());
}

TEST_CASE("flags are read") {
  const auto options =
      ParseOptions({"-c", "x.yaml", "--config-yaml=a: b=c", "--mode", "validate", "--concurrency",
                    "0", "-l", "debug", "--drain-time-s=5", "--disable-hot-restart",
                    "--skip-deprecated-logs=false", "--base-id", "7", "--service-node", "n"});
  REQUIRE(options.ok());
  CHECK(options->config_path == "x.yaml");
  CHECK(options->config_yaml == "a: b=c");
  CHECK(options->mode == Mode::kValidate);
  CHECK(options->concurrency == 1);
  CHECK(options->log_level == "debug");
  CHECK(options->drain_time_s == 5);
  CHECK(options->disable_hot_restart);
  CHECK_FALSE(options->skip_deprecated_logs);
  CHECK(options->base_id == 7);
  CHECK(options->service_node == "n");
  CHECK(ParseOptions({})->concurrency == 0);
  CHECK(ParseOptions({"--allow-unknown-fields"})->allow_unknown_static_fields);
  CHECK(ParseOptions({"--base-id-path", "/x", "--socket-path", "@y", "--socket-mode", "600",
                      "--skip-hot-restart-on-no-parent", "--skip-hot-restart-parent-stats"})
            ->base_id_path == "/x");
  CHECK(ParseOptions({"--help", "--bad"})->help);
  CHECK(ParseOptions({"--version"})->version);
}

TEST_CASE("bad flags are refused") {
  CHECK(Refusal({"--config-pth", "x"}) ==
        "unknown flag --config-pth (did you mean '--config-path'?)");
  CHECK(Refusal({"--zzzzzz=1"}) == "unknown flag --zzzzzz");
  CHECK(Refusal({"--stats-tag=a:b"}) ==
        "--stats-tag is a flag of Envoy that Sluice does not support; stats_config.stats_tags with "
        "a fixed_value does the same");
  CHECK(Refusal({"--enable-mutex-tracing"}) ==
        "--enable-mutex-tracing is a flag of Envoy that Sluice does not support");
  CHECK(Refusal({"x.yaml"}) == "unexpected argument 'x.yaml'");
  CHECK(Refusal({"-c"}) == "--config-path: a value is missing");
  CHECK(Refusal({"--concurrency", "two"}) ==
        "--concurrency: must be a whole number up to 4294967295, got 'two'");
  CHECK(Refusal({"--concurrency", "-1"}) ==
        "--concurrency: must be a whole number up to 4294967295, got '-1'");
  CHECK(Refusal({"--concurrency=4294967296"}) ==
        "--concurrency: must be a whole number up to 4294967295, got '4294967296'");
  CHECK(Refusal({"--mode", "init_only"}) == "--mode init_only is not supported yet");
  CHECK(Refusal({"--mode", "x"}) == "--mode: must be serve or validate, got 'x'");
  CHECK(Refusal({"--disable-hot-restart=x"}) == "--disable-hot-restart: takes no value, got 'x'");
  CHECK(Refusal({"-l", "loud"}).starts_with("--log-level: must be one of "));
  CHECK(Refusal({"-config-path", "x"}).starts_with("unknown flag -config-path"));
}

TEST_CASE("the help names every flag") {
  const std::string help = HelpText();
  for (const char* flag :
       {"--config-path", "--mode", "--restart-epoch", "--cpuset-threads", "--version"}) {
    CHECK(help.find(flag) != help.npos);
  }
}

}  // namespace
}  // namespace sluice::config
