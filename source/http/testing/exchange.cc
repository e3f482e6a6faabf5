// The known values of a filled TestExchange. Test threads only.
#include "source/http/testing/exchange.h"

#include <arpa/inet.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

namespace sluice::testing {
namespace {

class Text : public FilterStateObject {
 public:
  std::string ToString() const override { return "state"; }
};

TimePoint After(TimePoint start, int milliseconds) {
  return start + std::chrono::milliseconds(milliseconds);
}

}  // namespace

void TestExchange::Fill() {
  ConnectionFacts& facts = Surroundings::connection;
  facts.id = 11;
  facts.local = *Address::Ip("127.0.0.1", 10000);
  facts.remote = *Address::Ip("10.1.2.3", 4444);
  facts.AddFindings().requested_server_name = "sni.t";
  static const ChainFacts chain{"chain", nullptr, nullptr};
  facts.chain = &chain;
  set_remote_address(*Address::Ip("203.0.113.9", 0));

  Surroundings::route.name = "r1";
  Surroundings::route.cluster_name = "dfp";
  set_route(&(Surroundings::route));

  auto head = std::make_unique<RequestHead>();
  head->method = "GET";
  head->scheme = "http";
  head->authority = "ok.t:80";
  head->path = "/a/b?x=1&name=a%20b&empty=&name=2";
  head->headers.Add(HeaderId::kUserAgent, "ua/1");
  head->headers.Add(HeaderId::kOther, "x-custom", "one");
  head->headers.Set("proxy-authorization", "Basic c2VjcmV0");
  head->headers.Set("authorization", "Bearer t");
  head->headers.Add(HeaderId::kXEnvoyOriginalPath, "/original?q=0");
  set_request_head(std::move(head));

  Surroundings::response.headers.Add(HeaderId::kContentType, "text/html");
  set_response_head(&(Surroundings::response));
  Surroundings::trailers.Add(HeaderId::kOther, "grpc-status", "5");
  Surroundings::trailers.Add(HeaderId::kOther, "x-t", "v");
  set_response_trailers(&(Surroundings::trailers));
  set_local_reply_body("sorry");

  Note(ResponseFlag::kDownstreamConnectionTermination);
  Note(ResponseFlag::kUpstreamConnectionFailure);
  set_details("via upstream it is");
  set_termination_details("done");

  upstream.cluster_name = "dfp";
  upstream.Choose(nullptr, *Address::Ip("192.0.2.6", 81));
  upstream.Choose(std::make_shared<UpstreamHost>(UpstreamHost{"ok.t:8080", nullptr}),
                  *Address::Ip("192.0.2.7", 8080));
  sockaddr_in6 local{};
  local.sin6_family = AF_INET6;
  local.sin6_port = htons(999);
  inet_pton(AF_INET6, "2001:db8::5", &local.sin6_addr);
  upstream.local = Address::From(reinterpret_cast<const sockaddr*>(&local), sizeof(local));
  upstream.transport_failure = "why";
  upstream.connection_id = 77;
  upstream.attempts = 2;

  time.wall_start = WallTime(std::chrono::nanoseconds(1795421440537042001));
  time.start = Now() - std::chrono::seconds(10);
  facts.opened = After(time.start, -5);
  time.request_received = After(time.start, 10);
  time.upstream_connecting = After(time.start, 20);
  time.upstream_connected = After(time.start, 25);
  time.upstream_first_sent = After(time.start, 30);
  time.upstream_last_sent = After(time.start, 40);
  time.upstream_first_received = After(time.start, 200);
  time.upstream_body_received = After(time.start, 215);
  time.upstream_last_received = After(time.start, 240);
  time.response_first_sent = After(time.start, 205);
  time.response_last_sent = After(time.start, 250);

  bytes = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};

  auto metadata = std::make_shared<google::protobuf::Struct>();
  (void)google::protobuf::util::JsonStringToMessage(
      R"({"s":"a\"b","n":1.5,"nested":{"deep":true},"list":[1,"two",null]})", metadata.get());
  set_metadata("ns", std::move(metadata));
  set_filter_state("fs", std::make_shared<Text>());
}

}  // namespace sluice::testing
