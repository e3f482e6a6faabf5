// Tests of formats and filters from configuration.
#include "source/observe/access_log/access_log_config.h"
#include "source/config/runtime_layers.h"

#include <google/protobuf/text_format.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "source/base/strings.h"
#include "source/http/testing/exchange.h"

namespace sluice {
namespace {

using envoy::config::core::v3::SubstitutionFormatString;
using testing::TestExchange;

template <class Message>
Message Parse(const std::string& text) {
  Message message;
  INFO(text);
  REQUIRE(google::protobuf::TextFormat::ParseFromString(text, &message));
  return message;
}

struct Case {
  std::string config;
  std::string text;
};

TEST_CASE("formats") {
  setenv("SLUICE_TEST_FORMAT", "env %PROTOCOL%", 1);
  const char* base = std::getenv("TEST_TMPDIR");
  std::string file = Cat(base == nullptr ? "/tmp" : base, "/formatXXXXXX");
  close(mkstemp(file.data()));
  std::ofstream(file) << "file %RESPONSE_CODE%\n";
  TestExchange exchange;
  exchange.Fill();
  const Case cases[] = {
      {"text_format: 'a %REQ(x)%'", "a -"},
      {"text_format: 'a %REQ(x)%' omit_empty_values: true", "a "},
      {"text_format_source { inline_string: 'b %REQ(:METHOD)%' }", "b GET"},
      {"text_format_source { inline_bytes: 'c' }", "c"},
      {"text_format_source { environment_variable: 'SLUICE_TEST_FORMAT' }", "env HTTP/1.1"},
      {Cat("text_format_source { filename: '", file, "' }"), "file 200\n"},
      {"json_format { fields { key: 'k' value { string_value: '%BYTES_SENT%' } } }", "{\"k\":2}"},
      {"json_format { fields { key: 'k' value { string_value: '%REQ(x)%' } } } omit_empty_values: "
       "true",
       "{}"},
      {"json_format { fields { key: 'k' value { string_value: '%BYTES_SENT%' } } } "
       "json_format_options { sort_properties: true }",
       "{\"k\":2}"},
  };
  for (const Case& c : cases) {
    INFO(c.config);
    config::Diagnostics diagnostics;
    const auto config = Parse<SubstitutionFormatString>(c.config);
    std::string out;
    BuildLogFormatter(&config, "log_format", diagnostics).Format(LogContext{exchange}, &out);
    CHECK(diagnostics.problems().empty());
    CHECK(out == c.text);
  }
  std::remove(file.c_str());

  config::Diagnostics diagnostics;
  std::string standard, out;
  Formatter::FromText(kDefaultLogFormat)->Format(LogContext{exchange}, &standard);
  BuildLogFormatter(nullptr, "log_format", diagnostics).Format(LogContext{exchange}, &out);
  CHECK(out == standard);
  CHECK(diagnostics.problems().empty());
}

TEST_CASE("bad formats are reported at their place") {
  const Case cases[] = {
      {"text_format: '%NO%'", "a.log_format.text_format: position 0: %NO%: unknown operator"},
      {"text_format_source { inline_string: '%NO%' }",
       "a.log_format.text_format_source.inline_string: position 0: %NO%: unknown operator"},
      {"json_format { fields { key: 'k' value { string_value: '%NO%' } } }",
       "a.log_format.json_format: k: position 0: %NO%: unknown operator"},
      {"text_format_source { environment_variable: 'SLUICE_NOT_SET' }",
       "a.log_format.text_format_source.environment_variable: the environment variable "
       "'SLUICE_NOT_SET' is not set"},
      {"text_format_source { filename: '/no/such' }",
       "a.log_format.text_format_source.filename: cannot read '/no/such': No such file or "
       "directory"},
      {"text_format_source {}",
       "a.log_format.text_format_source: one of filename, inline_bytes, inline_string, "
       "environment_variable is needed"},
      {"", "a.log_format: one of text_format_source, json_format, text_format is needed"},
      {"text_format: 'x' content_type: 'text/html'",
       "a.log_format.content_type: warning: has no effect in an access log"},
  };
  for (const Case& c : cases) {
    INFO(c.config);
    config::Diagnostics diagnostics;
    const auto config = Parse<SubstitutionFormatString>(c.config);
    BuildLogFormatter(&config, "a.log_format", diagnostics);
    REQUIRE(diagnostics.problems().size() == 1);
    CHECK(diagnostics.problems()[0].path == c.text.substr(0, c.text.find(": ")));
    CHECK(Cat(diagnostics.problems()[0].path, ": ", diagnostics.errors() == 0 ? "warning: " : "",
              diagnostics.problems()[0].message) == c.text);
  }
}

TEST_CASE("filters") {
  struct FilterCase {
    std::string config;
    bool filled;   // of an exchange with everything: 200, 250 ms, flags UF and DC
    bool unknown;  // of one with nothing
  };
  const FilterCase cases[] = {
      {"status_code_filter { comparison { op: EQ value { default_value: 200 } } }", true, false},
      {"status_code_filter { comparison { op: GE value { default_value: 201 } } }", false, false},
      {"status_code_filter { comparison { op: GE value { default_value: 200 } } }", true, false},
      {"status_code_filter { comparison { op: LE value { default_value: 200 } } }", true, true},
      {"status_code_filter { comparison { op: LE value { default_value: 199 } } }", false, true},
      {"status_code_filter { comparison { op: NE value { default_value: 200 } } }", false, true},
      {"duration_filter { comparison { op: GE value { default_value: 250 } } }", true, false},
      {"duration_filter { comparison { op: GE value { default_value: 251 } } }", false, false},
      {"not_health_check_filter {}", true, true},
      {"runtime_filter { runtime_key: 'r' percent_sampled { numerator: 100 } }", true, true},
      {"runtime_filter { runtime_key: 'r' }", false, false},
      {"grpc_status_filter { statuses: UNKNOWN }", false, true},
      {"grpc_status_filter { statuses: OK statuses: UNKNOWN exclude: true }", true, false},
      {"grpc_status_filter { statuses: NOT_FOUND }", true, false},
      {"log_type_filter { types: DownstreamStart types: DownstreamEnd }", true, true},
      {"log_type_filter { types: DownstreamEnd exclude: true }", false, false},
      {"metadata_filter { matcher { filter: 'ns' path { key: 'n' } value { double_match { exact: "
       "1.5 } } } }",
       true, true},
      {"metadata_filter { matcher { filter: 'ns' path { key: 'n' } value { double_match { exact: 2 "
       "} } } match_if_key_not_found { value: false } }",
       false, false},
      {"metadata_filter { matcher { filter: 'ns' path { key: 'nested' } path { key: 'deep' } value "
       "{ "
       "bool_match: true } invert: true } match_if_key_not_found { value: false } }",
       false, false},
      {"metadata_filter { match_if_key_not_found { value: false } }", false, false},
      {"response_flag_filter {}", true, false},
      {"response_flag_filter { flags: 'UF' }", true, false},
      {"response_flag_filter { flags: 'NR' flags: 'DC' }", true, false},
      {"response_flag_filter { flags: 'NR' }", false, false},
      {"header_filter { header { name: 'user-agent' string_match { prefix: 'ua' } } }", true,
       false},
      {"header_filter { header { name: 'user-agent' present_match: true } }", true, false},
      {"header_filter { header { name: 'user-agent' present_match: true invert_match: true } }",
       false, true},
      {"header_filter { header { name: ':method' string_match { exact: 'GET' } } }", true, false},
      {"and_filter { filters { response_flag_filter {} } filters { response_flag_filter { flags: "
       "'UF' } } }",
       true, false},
      {"and_filter { filters { response_flag_filter {} } filters { response_flag_filter { flags: "
       "'NR' } } }",
       false, false},
      {"or_filter { filters { response_flag_filter { flags: 'NR' } } filters { status_code_filter "
       "{ comparison { "
       "op: EQ value { default_value: 0 } } } } }",
       false, true},
  };
  TestExchange filled;
  filled.Fill();
  const TestExchange unknown;
  for (const FilterCase& c : cases) {
    INFO(c.config);
    config::Diagnostics diagnostics;
    const AccessLogFilterPtr filter = BuildAccessLogFilter(
        Parse<envoy::config::accesslog::v3::AccessLogFilter>(c.config), "filter", diagnostics);
    REQUIRE(filter != nullptr);
    CHECK(diagnostics.ok());
    CHECK(filter->Matches(LogContext{filled}) == c.filled);
    CHECK(filter->Matches(LogContext{unknown}) == c.unknown);
  }
}

TEST_CASE("filters that follow the runtime") {
  config::Runtime runtime;
  config::Diagnostics diagnostics;
  const auto build = [&](const std::string& text) {
    return BuildAccessLogFilter(Parse<envoy::config::accesslog::v3::AccessLogFilter>(text),
                                "filter", diagnostics, &runtime);
  };
  const auto status = build(
      "status_code_filter { comparison { op: GE value { default_value: 500 runtime_key: 'min' } } "
      "}");
  const auto sampled =
      build("runtime_filter { runtime_key: 'share' percent_sampled { numerator: 1 } }");
  TestExchange exchange;
  exchange.Fill();
  exchange.request_head()->headers.Set("x-request-id", "00000032-a");  // 50
  CHECK_FALSE(status->Matches(LogContext{exchange}));
  CHECK_FALSE(sampled->Matches(LogContext{exchange}));
  config::RuntimeLayer layer{"a", {}};
  layer.values["min"] = config::ParseRuntimeValue("200");
  layer.values["share"] = config::ParseRuntimeValue("51");
  runtime.Publish({layer});
  CHECK(status->Matches(LogContext{exchange}));
  CHECK(sampled->Matches(LogContext{exchange}));
  exchange.health_check = true;
  CHECK_FALSE(build("not_health_check_filter {}")->Matches(LogContext{exchange}));
}

TEST_CASE("bad filters are reported at their place") {
  const Case cases[] = {
      {"", "filter: names no filter"},
      {"and_filter { filters { response_flag_filter {} } filters {} }",
       "filter.and_filter.filters[1]: names no filter"},
      {"response_flag_filter { flags: 'UF' flags: 'RFCF' }",
       "filter.response_flag_filter.flags[1]: 'RFCF' is a flag that is never set here"},
  };
  for (const Case& c : cases) {
    INFO(c.config);
    config::Diagnostics diagnostics;
    CHECK(BuildAccessLogFilter(Parse<envoy::config::accesslog::v3::AccessLogFilter>(c.config),
                               "filter", diagnostics) == nullptr);
    REQUIRE(diagnostics.problems().size() == 1);
    CHECK(Cat(diagnostics.problems()[0].path, ": ", diagnostics.problems()[0].message) == c.text);
  }
  config::Diagnostics diagnostics;
  BuildAccessLogFilter(
      Parse<envoy::config::accesslog::v3::AccessLogFilter>(
          "header_filter { header { name: 'a' string_match { safe_regex { regex: '(' } } } }"),
      "filter", diagnostics);
  REQUIRE(diagnostics.problems().size() == 1);
  CHECK(diagnostics.problems()[0].path == "filter.header_filter.header");
}

}  // namespace
}  // namespace sluice
