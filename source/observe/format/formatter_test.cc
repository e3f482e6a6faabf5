// Table tests of the formatter: every operator, JSON, escaping, errors.
#include "source/observe/format/formatter.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <regex>

#include "api/envoy/config/cluster/v3/cluster.pb.h"
#include "api/envoy/config/core/v3/base.pb.h"
#include "source/base/strings.h"
#include "source/http/testing/exchange.h"

namespace sluice {
namespace {

using testing::TestExchange;

std::string Text(const Exchange& exchange, std::string_view format,
                 Formatter::Options options = {}) {
  const absl::StatusOr<Formatter> formatter = Formatter::FromText(format, options);
  if (!formatter.ok()) {
    return Cat("error: ", formatter.status().message());
  }
  std::string out = ">";  // Format appends
  formatter->Format(LogContext{exchange}, &out);
  return out.substr(1);
}

google::protobuf::Struct ParseStruct(const std::string& json) {
  google::protobuf::Struct result;
  REQUIRE(google::protobuf::util::JsonStringToMessage(json, &result).ok());
  return result;
}

std::string Json(const Exchange& exchange, const std::string& format,
                 Formatter::Options options = {}) {
  const absl::StatusOr<Formatter> formatter = Formatter::FromJson(ParseStruct(format), options);
  if (!formatter.ok()) {
    return Cat("error: ", formatter.status().message());
  }
  CHECK(formatter->is_json());
  std::string out;
  formatter->Format(LogContext{exchange}, &out);
  google::protobuf::Struct parsed;
  INFO(out);
  CHECK(google::protobuf::util::JsonStringToMessage(out, &parsed).ok());
  return out;
}

struct Case {
  std::string format;
  std::string text;
};

TEST_CASE("operators of a complete exchange") {
  setenv("SLUICE_FORMATTER_TEST", "from env", 1);
  TestExchange exchange;
  exchange.Fill();
  exchange.request_head()->headers.Set(HeaderId::kContentType, "application/grpc+proto");
  const Case cases[] = {
      {"plain 100%%", "plain 100%"},
      {"", ""},
      {"%START_TIME%", "2026-11-23T08:10:40.537Z"},
      {"%START_TIME()%", "2026-11-23T08:10:40.537Z"},
      {"%START_TIME(%Y/%m/%d %H:%M:%S.%3f %z %Z %a %j)%",
       "2026/11/23 08:10:40.537 +0000 UTC Mon 327"},
      {"%START_TIME(%s.%6f %f %s%3f)%", "1795421440.537042 537042001 1795421440537"},
      {"%START_TIME(%E6S|%T|%e|%%)%", "40.537042|08:10:40|23|%"},
      {"%START_TIME:10%", "2026-11-23"},
      {"%DURATION%", "250"},
      {"%REQUEST_DURATION%", "10"},
      {"%REQUEST_TX_DURATION%", "40"},
      {"%RESPONSE_DURATION%", "200"},
      {"%RESPONSE_TX_DURATION%", "50"},
      {"%COMMON_DURATION(DS_RX_BEG:DS_TX_END)%", "250"},
      {"%COMMON_DURATION(US_CX_BEG:US_CX_END:us)%", "5000"},
      {"%COMMON_DURATION(US_TX_BEG:US_TX_END:ns)%", "10000000"},
      {"%COMMON_DURATION(US_RX_BEG:DS_RX_BEG:ms)%", "-"},
      {"%COMMON_DURATION(DS_CX_BEG:DS_RX_BEG)%", "5"},
      {"%COMMON_DURATION(US_RX_BEG:US_RX_BODY_BEG)%", "15"},
      {"%COMMON_DURATION(DS_RX_BEG:US_HS_END)% %COMMON_DURATION(DS_CX_BEG:DS_CX_END)%", "- -"},
      {"%PROTOCOL%", "HTTP/1.1"},
      {"%UPSTREAM_PROTOCOL%", "HTTP/1.1"},
      {"%RESPONSE_CODE%", "200"},
      {"%RESPONSE_CODE_DETAILS%", "via_upstream_it_is"},
      {"%RESPONSE_CODE_DETAILS(ALLOW_WHITESPACES)%", "via upstream it is"},
      {"%CONNECTION_TERMINATION_DETAILS%", "done"},
      {"%RESPONSE_FLAGS%", "DC,UF"},
      {"%RESPONSE_FLAGS_LONG%", "DownstreamConnectionTermination,UpstreamConnectionFailure"},
      {"%REQ(:METHOD)%", "GET"},
      {"%REQ(:PATH)%", "/a/b?x=1&name=a%20b&empty=&name=2"},
      {"%REQ(:AUTHORITY)% %REQ(host)% %REQ(:SCHEME)%", "ok.t:80 ok.t:80 http"},
      {"%REQ(User-Agent)% %REQUEST_HEADER(X-Custom)%", "ua/1 one"},
      {"%REQ(x-none?user-agent)% %REQ(x-custom?user-agent)% %REQ(none)%", "ua/1 one -"},
      {"%REQ(user-agent):2% %REQ(user-agent):0%|", "ua |"},
      {"%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "/original?q=0"},
      {"%RESP(content-type)% %RESPONSE_HEADER(:status)% %RESP(x-missing)%", "text/html 200 -"},
      {"%TRAILER(grpc-status)% %RESPONSE_TRAILER(x-t)% %TRAILER(no?x-t)%", "5 v v"},
      {"%REQ_WITHOUT_QUERY(:PATH)% %REQ_WITHOUT_QUERY(none?:path):4%", "/a/b /a/b"},
      {"%PATH%", "/original?q=0"},
      {"%PATH(NQ)%", "/original"},
      {"%PATH(WQ:PATH)%", "/a/b?x=1&name=a%20b&empty=&name=2"},
      {"%PATH(NQ:PATH)% %PATH(:PATH):2% %PATH(NQ:ORIG)%", "/a/b /a /original"},
      {"%QUERY_PARAM(x)% %QUERY_PARAM(name)% %QUERY_PARAM(empty)% %QUERY_PARAM(no)%", "1 a b  -"},
      {"%QUERY_PARAMS% %QUERY_PARAMS(ORIG):3%", "x=1&name=a%20b&empty=&name=2 x=1"},
      {"%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS(NUMBER)% %GRPC_STATUS_NUMBER%",
       "NotFound NOT_FOUND 5 5"},
      {"%LOCAL_REPLY_BODY%", "sorry"},
      {R"(%COALESCE({"operators":["TRACE_ID",{"command":"REQ","param":"none"},"PROTOCOL"]})%)",
       "HTTP/1.1"},
      {R"(%COALESCE({"operators":[{"command":"REQ","param":"user-agent","max_length":2}]})%)",
       "ua"},
      {R"(%COALESCE({"operators":["ROUTE_NAME"]}):1% %COALESCE({"operators":["SPAN_ID"]})%)",
       "r -"},
      {"%DOWNSTREAM_TLS_VERSION% %UPSTREAM_PEER_SUBJECT% %TRACE_ID% %CUSTOM_FLAGS%|", "- - - |"},
      {"%BYTES_RETRANSMITTED% %DOWNSTREAM_DIRECT_LOCAL_ADDRESS%", "0 127.0.0.1:10000"},
      {"%DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_DIRECT_LOCAL_PORT% "
       "%DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT(8)%",
       "127.0.0.1 10000 127.0.0.0/8"},
      {"<%DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID%>", "<>"},
      {"%BYTES_RECEIVED% %BYTES_SENT% %REQUEST_HEADERS_BYTES% %RESPONSE_HEADERS_BYTES%", "1 2 3 4"},
      {"%DOWNSTREAM_HEADER_BYTES_RECEIVED% %DOWNSTREAM_HEADER_BYTES_SENT%", "3 4"},
      {"%DOWNSTREAM_WIRE_BYTES_RECEIVED% %DOWNSTREAM_WIRE_BYTES_SENT%", "5 6"},
      {"%UPSTREAM_WIRE_BYTES_RECEIVED% %UPSTREAM_WIRE_BYTES_SENT%", "7 8"},
      {"%UPSTREAM_HEADER_BYTES_RECEIVED% %UPSTREAM_HEADER_BYTES_SENT%", "9 10"},
      {"%UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED% %UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT%",
       "9 10"},
      {"%RESPONSE_TRAILERS_BYTES%", "16"},
      {"%UPSTREAM_HOSTS_ATTEMPTED% %UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT%",
       "192.0.2.6:81,192.0.2.7:8080 192.0.2.6,192.0.2.7"},
      {"%UPSTREAM_HOST_NAMES_ATTEMPTED% %UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT%",
       "192.0.2.6:81,ok.t:8080 192.0.2.6,ok.t"},
      {"%UPSTREAM_CONNECTION_IDS_ATTEMPTED%", "77"},
      {"%REQ(proxy-authorization)% %REQ(none?Proxy-Authorization)%", "Basic Basic"},
      {"%REQ(authorization)% %REQ(x-custom?proxy-authorization)%", "Bearer t one"},
      {"%REQ_WITHOUT_QUERY(proxy-authorization)%", "Basic"},
      {R"(%COALESCE({"operators":[{"command":"REQ","param":"proxy-authorization"}]})%)", "Basic"},
      {"%UPSTREAM_FILTER_STATE(x)% %DOWNSTREAM_PEER_CERT_V_START(%Y)%", "- -"},
      {"%UPSTREAM_HOST%", "192.0.2.7:8080"},
      {"%UPSTREAM_HOST_NAME% %UPSTREAM_HOST_NAME_WITHOUT_PORT%", "ok.t:8080 ok.t"},
      {"%UPSTREAM_CLUSTER% %UPSTREAM_CLUSTER_RAW%", "dfp dfp"},
      {"%UPSTREAM_LOCAL_ADDRESS% %UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %UPSTREAM_LOCAL_PORT%",
       "[2001:db8::5]:999 2001:db8::5 999"},
      {"%UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT(32)%", "2001:db8::/32"},
      {"%UPSTREAM_REMOTE_ADDRESS% %UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %UPSTREAM_REMOTE_PORT%",
       "192.0.2.7:8080 192.0.2.7 8080"},
      {"%UPSTREAM_TRANSPORT_FAILURE_REASON% %UPSTREAM_REQUEST_ATTEMPT_COUNT% "
       "%UPSTREAM_CONNECTION_ID%",
       "why 2 77"},
      {"%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% "
       "%DOWNSTREAM_REMOTE_PORT%",
       "203.0.113.9:0 203.0.113.9 0"},
      {"%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(12)% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(33)%",
       "203.0.0.0/12 -"},
      {"%DOWNSTREAM_DIRECT_REMOTE_ADDRESS% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%",
       "10.1.2.3:4444 10.1.2.3"},
      {"%DOWNSTREAM_DIRECT_REMOTE_PORT% %DOWNSTREAM_LOCAL_PORT%", "4444 10000"},
      {"%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%",
       "127.0.0.1:10000 127.0.0.1"},
      {"%REQUESTED_SERVER_NAME% %FILTER_CHAIN_NAME%", "sni.t chain"},
      {"%REQUESTED_SERVER_NAME(SNI_FIRST:HOST)% %REQUESTED_SERVER_NAME(HOST_FIRST)% "
       "%REQUESTED_SERVER_NAME(HOST_FIRST:ORIG)%",
       "sni.t ok.t:80 sni.t"},
      {"%ROUTE_NAME% %VIRTUAL_CLUSTER_NAME%", "r1 -"},
      {"%DYNAMIC_METADATA(ns)%",
       R"({"list":[1,"two",null],"n":1.5,"nested":{"deep":true},"s":"a\"b"})"},
      {"%DYNAMIC_METADATA(ns:nested)% %DYNAMIC_METADATA(ns:nested:deep)% %DYNAMIC_METADATA(ns:n)%",
       R"({"deep":true} true 1.5)"},
      {"%DYNAMIC_METADATA(ns:s):1% %DYNAMIC_METADATA(ns:no)% %DYNAMIC_METADATA(no:s)% "
       "%DYNAMIC_METADATA(ns:s:x)%",
       "a - - -"},
      {"%FILTER_STATE(fs:PLAIN)% %FILTER_STATE(fs)% %FILTER_STATE(fs:TYPED)% %FILTER_STATE(no)%",
       "state \"state\" \"state\" -"},
      {"%CONNECTION_ID% %STREAM_ID% %ACCESS_LOG_TYPE%", "11 - DownstreamEnd"},
      {"%ENVIRONMENT(SLUICE_FORMATTER_TEST)% %ENVIRONMENT(SLUICE_FORMATTER_TEST):4% "
       "%ENVIRONMENT(SLUICE_NOT_SET)%",
       "from env from -"},
  };
  for (const Case& c : cases) {
    INFO(c.format);
    CHECK(Text(exchange, c.format) == c.text);
  }
  char host[256] = {};
  gethostname(host, sizeof(host) - 1);
  CHECK(Text(exchange, "%HOSTNAME%") == host);
  CHECK(std::regex_match(
      Text(exchange, "%UNIQUE_ID%"),
      std::regex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")));
  CHECK(Text(exchange, "%UNIQUE_ID%") != Text(exchange, "%UNIQUE_ID%"));
  CHECK(std::regex_match(Text(exchange, "%EMIT_TIME%"),
                         std::regex("20\\d\\d-\\d\\d-\\d\\dT[\\d:]{8}\\.\\d{3}Z")));
  CHECK(std::regex_match(Text(exchange, "%START_TIME_LOCAL%"),
                         std::regex("2026-11-2\\dT[\\d:]{8}\\.537[+-]\\d{4}")));
  CHECK(std::regex_match(Text(exchange, "%EMIT_TIME_LOCAL(%Y)%"), std::regex("20\\d\\d")));
}

TEST_CASE("an exchange of which nothing is known") {
  const TestExchange exchange;
  const Case cases[] = {
      {"%START_TIME%|%DURATION%|%REQUEST_DURATION%|%PROTOCOL%|%UPSTREAM_PROTOCOL%", "-|-|-|-|-"},
      {"%RESPONSE_CODE%|%RESPONSE_CODE_DETAILS%|%RESPONSE_FLAGS%|%RESPONSE_FLAGS_LONG%", "0|-|-|-"},
      {"%REQ(x)%|%RESP(x)%|%TRAILER(x)%|%PATH%|%QUERY_PARAM(x)%|%QUERY_PARAMS%|%GRPC_STATUS%",
       "-|-|-|-|-|-|-"},
      {"%UPSTREAM_HOST%|%UPSTREAM_HOST_NAME%|%UPSTREAM_REMOTE_PORT%|%UPSTREAM_LOCAL_ADDRESS%",
       "-|-|-|-"},
      {"%UPSTREAM_HOSTS_ATTEMPTED%|%UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT%|"
       "%UPSTREAM_CONNECTION_IDS_ATTEMPTED%|%UPSTREAM_HEADER_BYTES_SENT%",
       "-|-|-|0"},
      {"%UPSTREAM_CLUSTER%|%ROUTE_NAME%|%DYNAMIC_METADATA(a)%|%FILTER_STATE(a)%", "-|-|-|-"},
      {"%BYTES_SENT%|%UPSTREAM_REQUEST_ATTEMPT_COUNT%|%RESPONSE_TRAILERS_BYTES%", "0|0|0"},
      {"%UPSTREAM_CONNECTION_ID%", "0"},
  };
  for (const Case& c : cases) {
    INFO(c.format);
    CHECK(Text(exchange, c.format) == c.text);
  }
  CHECK(Text(exchange, "[%REQ(x)%%UPSTREAM_HOST%]", {.omit_empty_values = true}) == "[]");
}

TEST_CASE("the default format") {
  TestExchange exchange;
  exchange.Fill();
  exchange.request_head()->headers.Add(HeaderId::kXForwardedFor, "192.0.2.2");
  exchange.request_head()->headers.Add(HeaderId::kXRequestId, "137b701a");
  CHECK(Text(exchange, kDefaultLogFormat) ==
        "[2026-11-23T08:10:40.537Z] \"GET /original?q=0 HTTP/1.1\" 200 DC,UF 1 2 250 - "
        "\"192.0.2.2\" \"ua/1\" "
        "\"137b701a\" \"ok.t:80\" \"192.0.2.7:8080\"\n");
}

TEST_CASE("a tunnel lasts until it is logged") {
  TestExchange exchange;
  exchange.Fill();
  exchange.tunnel_established = true;
  exchange.time.start = Now() - std::chrono::seconds(100);
  exchange.time.response_last_sent = exchange.time.start + std::chrono::milliseconds(5);
  CHECK(std::stoi(Text(exchange, "%DURATION%")) >= 100000);
}

TEST_CASE("a host that was dialled in vain is no peer, and an empty header is there") {
  TestExchange exchange;
  exchange.Fill();
  exchange.upstream.connection_id = 0;
  CHECK(Text(exchange, "%UPSTREAM_HOST% %UPSTREAM_REMOTE_ADDRESS% %UPSTREAM_REMOTE_PORT%") ==
        "192.0.2.7:8080 - -");
  exchange.request_head()->headers.Add(HeaderId::kOther, "x-empty", "");
  CHECK(Text(exchange, "[%REQ(x-empty)%] [%REQ(x-empty?user-agent)%]") == "[] []");
  CHECK(Json(exchange, R"({"e":"%REQ(x-empty)%"})") == R"({"e":""})");
}

TEST_CASE("the wires of a tunnel carry what it moved") {
  TestExchange exchange;
  exchange.Fill();
  exchange.tunnel_established = true;
  CHECK(Text(exchange, "%DOWNSTREAM_WIRE_BYTES_RECEIVED% %DOWNSTREAM_WIRE_BYTES_SENT%") == "6 8");
  CHECK(Text(exchange, "%UPSTREAM_WIRE_BYTES_RECEIVED% %UPSTREAM_WIRE_BYTES_SENT%") == "9 9");
  // It ends here and goes on as plain bytes.
  exchange.time.upstream_first_sent = TimePoint{};
  CHECK(Text(exchange, "%UPSTREAM_PROTOCOL%") == "-");
}

TEST_CASE("a client cannot forge a line or a field") {
  TestExchange exchange;
  exchange.Fill();
  exchange.request_head()->headers.Add(HeaderId::kOther, "x-evil",
                                       "a\r\nb\"c\\d\x01\x7f\xff\xc3\xa9");
  CHECK(Text(exchange, "%REQ(x-evil)%") == "a\\r\\nb\\\"c\\\\d\\u0001\\u007f\xff\xc3\xa9");
  CHECK(Text(exchange, "%REQ(x-evil):4%") == "a\\r\\nb");
  CHECK(Text(exchange, "%REQ(x-evil)%", {.escaping = Formatter::Escaping::kHeaderValue}) ==
        "a\\r\\nb\"c\\d\\u0001\\u007f\xff\xc3\xa9");
  CHECK(Text(exchange, "%REQ(x-evil)%", {.escaping = Formatter::Escaping::kNone}) ==
        "a\r\nb\"c\\d\x01\x7f\xff\xc3\xa9");
  CHECK(Json(exchange, R"({"e":"%REQ(x-evil)%","f":"<%REQ(x-evil)%>"})") ==
        "{\"e\":\"a\\r\\nb\\\"c\\\\d\\u0001\\u007f\\ufffd\xc3\xa9\",\"f\":\"<"
        "a\\r\\nb\\\"c\\\\d\\u0001\\u007f\\ufffd\xc3\xa9>\"}");
}

TEST_CASE("JSON") {
  TestExchange exchange;
  exchange.Fill();
  const Case cases[] = {
      {"{}", "{}"},
      {R"({"code":"%RESPONSE_CODE%"})", R"({"code":200})"},
      {R"({"b":"%BYTES_SENT%","a":"%REQ(:METHOD)%"})", R"({"a":"GET","b":2})"},
      {R"({"none":"%REQ(none)%"})", R"({"none":null})"},
      {R"({"mix":"%REQ(:METHOD)% %RESPONSE_CODE% %REQ(none)%!"})", R"({"mix":"GET 200 -!"})"},
      {R"({"text":"x\"y","n":1.5,"i":42,"t":true,"z":null,"pct":"100%%"})",
       R"({"i":42,"n":1.5,"pct":"100%","t":true,"text":"x\"y","z":null})"},
      {R"({"o":{"p":{"q":"%PROTOCOL%"}},"l":["%BYTES_SENT%","a",{"k":"%REQ(none)%"}]})",
       R"({"l":[2,"a",{"k":null}],"o":{"p":{"q":"HTTP/1.1"}}})"},
      {R"({"m":"%DYNAMIC_METADATA(ns:nested)%","s":"%DYNAMIC_METADATA(ns:s)%","n":"%DYNAMIC_METADATA(ns:n)%"})",
       R"({"m":{"deep":true},"n":1.5,"s":"a\"b"})"},
      {R"({"m":"is %DYNAMIC_METADATA(ns:nested)%"})", R"({"m":"is {\"deep\":true}"})"},
      {R"({"f":"%FILTER_STATE(fs)%","len":"%REQ(user-agent):2%","host":"%UPSTREAM_HOST%"})",
       R"({"f":"state","host":"192.0.2.7:8080","len":"ua"})"},
      {R"({"a\"b":""})", R"({"a\"b":""})"},
  };
  for (const Case& c : cases) {
    INFO(c.format);
    CHECK(Json(exchange, c.format) == c.text);
  }
  const Formatter::Options omit = {.omit_empty_values = true};
  CHECK(Json(exchange, R"({"a":"%REQ(none)%","b":"%REQ(:METHOD)%","c":"%REQ(none)%"})", omit) ==
        R"({"b":"GET"})");
  CHECK(Json(exchange, R"({"a":"%REQ(none)%","o":{"x":"%REQ(none)%"},"z":"<%REQ(none)%>"})",
             omit) == R"({"z":"<>"})");
  CHECK(Json(exchange, R"({"l":["%REQ(none)%","%REQ(:METHOD)%"],"z":1})", omit) ==
        R"({"l":["GET"],"z":1})");
}

TEST_CASE("objects that stay empty are omitted, lists are not") {
  TestExchange exchange;
  exchange.Fill();
  const Formatter::Options omit = {.omit_empty_values = true};
  CHECK(Json(exchange,
             R"({"a":{"b":{"c":"%REQ(none)%"},"d":null},"l":["%REQ(none)%"],)"
             R"("m":[{"x":"%REQ(none)%"},null,{"y":1}],"n":null,"o":{},"p":{"q":2,"r":{}}})",
             omit) == R"({"l":[],"m":[{"y":1}],"p":{"q":2}})");
  CHECK(Json(exchange, R"({"a":{"b":"%REQ(none)%"}})", omit) == "{}");
  CHECK(Json(exchange, R"({"a":{"b":"%REQ(none)%"},"c":{},"n":null})") ==
        R"({"a":{"b":null},"c":{},"n":null})");
}

TEST_CASE("errors name the position and the operator") {
  const TestExchange exchange;
  const Case cases[] = {
      {"ab %", "position 3: a '%' that starts no operator (write %% for a percent sign)"},
      {"50% off", "position 2: a '%' that starts no operator (write %% for a percent sign)"},
      {"%REQ(x)", "position 0: %REQ%: no '%' at its end"},
      {"%REQ(x%", "position 0: %REQ%: no ')'"},
      {"%REQ%", "position 0: %REQ%: takes the name of a header"},
      {"%REQ()%", "position 0: %REQ%: takes the name of a header"},
      {"%REQ(a?)%", "position 0: %REQ%: 'a?': no header behind '?'"},
      {"%REQ(a?b?c)%", "position 0: %REQ%: takes NAME or NAME?OTHER, not 'a?b?c'"},
      {"%REQ(a):x%", "position 0: %REQ%: the length behind ':' must be a number from 0 to 65535"},
      {"%REQ(a):-1%", "position 0: %REQ%: the length behind ':' must be a number from 0 to 65535"},
      {"x %REQUEST_HEDER(a)%",
       "position 2: %REQUEST_HEDER%: unknown operator (did you mean %REQUEST_HEADER%?)"},
      {"%BYTES_SEND%", "position 0: %BYTES_SEND%: unknown operator (did you mean %BYTES_SENT%?)"},
      {"%COMPLETELY_WRONG_THING%", "position 0: %COMPLETELY_WRONG_THING%: unknown operator"},
      {"%TYPED_CEL(request.path)%", "position 0: %TYPED_CEL%: known, not supported yet"},
      {"%UPSTREAM_METADATA%",
       "position 0: %UPSTREAM_METADATA%: takes NAMESPACE or NAMESPACE:KEY:..."},
      {"%COALESCE(x)%",
       "position 0: %COALESCE%: takes {\"operators\": [\"NAME\", {\"command\": \"NAME\", "
       "...}]}"},
      {R"(%COALESCE({"operators":["ROUTE_NAME",{"param":"x"}]})%)",
       "position 0: %COALESCE%: operators[1]: 'command' is missing"},
      {R"(%COALESCE({"operators":["NOPE"]})%)",
       "position 0: %COALESCE%: operators[0]: unknown operator"},
      {R"(%COALESCE({"operators":[{"command":"COALESCE","param":"x"}]})%)",
       "position 0: %COALESCE%: operators[0]: COALESCE within COALESCE"},
      {"%DURATION(x)%", "position 0: %DURATION%: takes no argument"},
      {"%DURATION:3%", "position 0: %DURATION%: takes no length"},
      {"%START_TIME(%Q)%",
       "position 0: %START_TIME%: the time format '%Q' has an unknown conversion at '%Q'"},
      {"%START_TIME(%E*S)%",
       "position 0: %START_TIME%: the time format '%E*S' has an unknown conversion at '%E*S'"},
      {"%PATH(X)%", "position 0: %PATH%: takes WQ or NQ first, not 'X'"},
      {"%PATH(NQ:X)%", "position 0: %PATH%: takes ORIG, PATH or ORIG_OR_PATH second, not 'X'"},
      {"%QUERY_PARAM%", "position 0: %QUERY_PARAM%: takes the name of a query parameter"},
      {"%QUERY_PARAMS(DECODED)%",
       "position 0: %QUERY_PARAMS%: takes ORIG; 'DECODED' is not supported yet"},
      {"%GRPC_STATUS(X)%",
       "position 0: %GRPC_STATUS%: takes CAMEL_STRING, SNAKE_STRING or NUMBER, not 'X'"},
      {"%RESPONSE_CODE_DETAILS(X)%",
       "position 0: %RESPONSE_CODE_DETAILS%: takes ALLOW_WHITESPACES or nothing, not 'X'"},
      {"%COMMON_DURATION%",
       "position 0: %COMMON_DURATION%: takes (BEGIN:END) or (BEGIN:END:ms|us|ns)"},
      {"%COMMON_DURATION(DS_RX_BEG:DS_TX_END:s)%",
       "position 0: %COMMON_DURATION%: takes (BEGIN:END) or (BEGIN:END:ms|us|ns)"},
      {"%COMMON_DURATION(DS_RX_BEG:US_XX_END)%",
       "position 0: %COMMON_DURATION%: 'US_XX_END' is no point in time that is measured "
       "(DS_CX_BEG, DS_CX_END, DS_RX_BEG, DS_RX_END, US_CX_BEG, US_CX_END, US_HS_END, US_TX_BEG, "
       "US_TX_END, US_RX_BEG, US_RX_BODY_BEG, US_RX_END, DS_TX_BEG, DS_TX_END, "
       "envoy.dynamic_forward_proxy.dns_start_ms, envoy.dynamic_forward_proxy.dns_end_ms)"},
      {"%REQUESTED_SERVER_NAME(X)%",
       "position 0: %REQUESTED_SERVER_NAME%: takes SNI_ONLY, SNI_FIRST or HOST_FIRST first, not "
       "'X'"},
      {"%REQUESTED_SERVER_NAME(SNI_FIRST:X)%",
       "position 0: %REQUESTED_SERVER_NAME%: takes ORIG_OR_HOST, HOST or ORIG second, not 'X'"},
      {"%UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT(129)%",
       "position 0: %UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%: takes the length of a prefix (0 to "
       "128), not '129'"},
      {"%DYNAMIC_METADATA%",
       "position 0: %DYNAMIC_METADATA%: takes NAMESPACE or NAMESPACE:KEY:..."},
      {"%FILTER_STATE(a:FIELD:b)%", "position 0: %FILTER_STATE%: FIELD is not supported yet"},
      {"%FILTER_STATE(a:X)%",
       "position 0: %FILTER_STATE%: takes KEY, KEY:PLAIN or KEY:TYPED, not 'a:X'"},
      {"%ENVIRONMENT%", "position 0: %ENVIRONMENT%: takes the name of an environment variable"},
  };
  for (const Case& c : cases) {
    INFO(c.format);
    CHECK(Text(exchange, c.format) == "error: " + c.text);
  }
  CHECK(Json(exchange, R"({"a":{"b":["x","%NO%"]}})") ==
        "error: a.b[1]: position 0: %NO%: unknown operator");
  google::protobuf::Struct deep;
  google::protobuf::Struct* inner = &deep;
  for (int i = 0; i < 40; ++i) {
    inner = (*inner->mutable_fields())["a"].mutable_struct_value();
  }
  CHECK_THAT(std::string(Formatter::FromJson(deep).status().message()),
             Catch::Contains("nested deeper than 32 levels"));
}

TEST_CASE("metadata of the request and of its route") {
  TestExchange exchange;
  RouteBase route;
  auto metadata = std::make_shared<envoy::config::core::v3::Metadata>();
  (*metadata->mutable_filter_metadata())["ns"] =
      ParseStruct(R"({"a":{"b":"route"},"empty":"","nothing":null})");
  exchange.set_metadata(
      "ns", std::make_shared<google::protobuf::Struct>(ParseStruct(R"({"a":{"b":"dynamic"}})")));
  const Case none[] = {{"%METADATA(ROUTE:ns:a:b)%", "-"},
                       {"%METADATA(DYNAMIC:ns:a:b)%", "dynamic"}};
  for (const Case& c : none) CHECK(Text(exchange, c.format) == c.text);
  route.metadata = route.host_metadata = metadata;
  exchange.set_route(&route);
  const Case cases[] = {
      {"%METADATA(ROUTE:ns:a:b)%", "route"},
      {"%METADATA(ROUTE:ns)%", R"({"a":{"b":"route"},"empty":"","nothing":null})"},
      {"<%METADATA(ROUTE:ns:empty)%> <%METADATA(ROUTE:ns:nothing)%>", "<> <->"},
      {"%METADATA(ROUTE:other:a)%", "-"},
      {"%METADATA(ROUTE:ns:a:c)%", "-"},
      {"%METADATA(VIRTUAL_HOST:ns:a:b)%", "route"},
      {"%METADATA(LISTENER:ns:a)% %METADATA(LISTENER_FILTER_CHAIN:ns:a)%", "- -"},
      {"%METADATA(CONNECTION:ns:a)%",
       "error: position 0: %METADATA%: takes TYPE:NAMESPACE:KEY..., TYPE being DYNAMIC, ROUTE, "
       "CLUSTER, UPSTREAM_HOST, VIRTUAL_HOST, LISTENER or LISTENER_FILTER_CHAIN"},
  };
  for (const Case& c : cases) CHECK(Text(exchange, c.format) == c.text);
}

TEST_CASE("metadata of the cluster and of the host") {
  constexpr char kFormat[] =
      "%CLUSTER_METADATA(ns:a)% %METADATA(CLUSTER:ns:a)% %UPSTREAM_METADATA(ns:a)% "
      "%METADATA(UPSTREAM_HOST:ns:a)% %UPSTREAM_METADATA(other)%";
  const auto of = [](const std::string& json) {
    auto metadata = std::make_shared<envoy::config::core::v3::Metadata>();
    (*metadata->mutable_filter_metadata())["ns"] = ParseStruct(json);
    return metadata;
  };
  envoy::config::cluster::v3::Cluster named, used;
  *named.mutable_metadata() = *of(R"({"a":"by the route"})");
  *used.mutable_metadata() = *of(R"({"a":"used"})");
  TestExchange exchange;
  RouteBase route;
  CHECK(Text(exchange, kFormat) == "- - - - -");
  exchange.set_route(&route);
  CHECK(Text(exchange, kFormat) == "- - - - -");
  route.cluster_name = "named";  // There is no such cluster.
  CHECK(Text(exchange, "%UPSTREAM_CLUSTER%|%UPSTREAM_CLUSTER_RAW%") == "-|-");
  route.cluster = &named;
  CHECK(Text(exchange, kFormat) == "by the route by the route - - -");
  CHECK(Text(exchange, "%UPSTREAM_CLUSTER%|%UPSTREAM_CLUSTER_RAW%") == "named|named");
  exchange.upstream.cluster = &used;
  exchange.upstream.host = std::make_shared<UpstreamHost>(UpstreamHost{"", of(R"({"a":["x",1]})")});
  CHECK(Text(exchange, kFormat) == R"(used used ["x",1] ["x",1] -)");
  CHECK(Json(exchange, R"({"h":"%UPSTREAM_METADATA(ns)%"})") == R"({"h":{"a":["x",1]}})");
  constexpr char kLookUp[] =
      "%COMMON_DURATION(envoy.dynamic_forward_proxy.dns_start_ms:envoy.dynamic_forward_proxy."
      "dns_end_ms)%";
  CHECK(Text(exchange, kLookUp) == "-");
  const TimePoint start = Now();
  exchange.time.look_up_started = start;
  exchange.time.look_up_ended = start + std::chrono::milliseconds(7);
  CHECK(Text(exchange, kLookUp) == "7");
  CHECK(Text(exchange, "%STREAM_ID%") == "-");
  exchange.set_stream_id("of a connection");
  CHECK(Text(exchange, "%STREAM_ID%") == "of a connection");

  used.set_alt_stat_name("known as");
  exchange.upstream.cluster_name = "real";
  CHECK(Text(exchange, "%UPSTREAM_CLUSTER%|%UPSTREAM_CLUSTER_RAW%") == "known as|real");
}

TEST_CASE("how connections ended") {
  constexpr char kFormat[] =
      "%DOWNSTREAM_DETECTED_CLOSE_TYPE% %DOWNSTREAM_LOCAL_CLOSE_REASON% "
      "%UPSTREAM_DETECTED_CLOSE_TYPE% %UPSTREAM_LOCAL_CLOSE_REASON% "
      "%UPSTREAM_CONNECTION_POOL_READY_DURATION%";
  TestExchange exchange;
  CHECK(Text(exchange, kFormat) == "Normal - - - -");
  exchange.upstream.pool_wait = std::chrono::microseconds(7999);
  CHECK(Text(exchange, kFormat) == "Normal - Normal - 7");
  exchange.close = DetectedClose::kLocalReset;
  exchange.local_close_reason = "here";
  exchange.upstream.close = DetectedClose::kRemoteReset;
  exchange.upstream.local_close_reason = "there";
  CHECK(Text(exchange, kFormat) == "LocalReset here RemoteReset there 7");
}

}  // namespace
}  // namespace sluice
