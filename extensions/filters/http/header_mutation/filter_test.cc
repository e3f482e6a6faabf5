// The header mutation filter in a chain of its own, before an origin that answers at once.
#include "extensions/filters/http/header_mutation/filter.h"

#include <google/protobuf/text_format.h>
#include <catch2/catch.hpp>

#include "source/http/reply.h"
#include "source/http/testing/exchange.h"

namespace sluice {
namespace {

namespace v3 = envoy::extensions::filters::http::header_mutation::v3;

// Keeps the request's headers as text and answers 200 with `x: origin`.
class Origin final : public Filter {
 public:
  explicit Origin(std::string* seen) : seen_(seen) {}
  Task<Response> Handle(Request request, Exchange&, Next) const override {
    for (const Header& header : request.head->headers)
      AppendTo(seen_, header.name, "=", header.value, " ");
    Response response = Reply(200);
    response.head->headers.AddCopy("x", "origin");
    co_return response;
  }

 private:
  std::string* const seen_;
};

HeaderMutations Compile(const char* text) {
  v3::Mutations config;
  REQUIRE(google::protobuf::TextFormat::ParseFromString(text, &config));
  config::Diagnostics diagnostics;
  HeaderMutations mutations = HeaderMutations::Build(config, "f", diagnostics);
  REQUIRE(diagnostics.ok());
  return mutations;
}

std::string SetBoth(const char* value) {
  const std::string append = Cat("{ append { header { key: 'x' value: '", value,
                                 "' } append_action: OVERWRITE_IF_EXISTS_OR_ADD } } ");
  return Cat("request_mutations ", append, "response_mutations ", append);
}

struct Outcome {
  std::string request, response;
};

Task<> Run(const HttpFilterChain& chain, Exchange& exchange, Outcome* outcome) {
  const Next next(chain, exchange, 0);
  const Response response = co_await next(Request{exchange.request_head(), nullptr});
  for (const Header& header : response.head->headers)
    AppendTo(&outcome->response, header.name, "=", header.value, " ");
  exchange.worker().Stop();
}

// What the origin and the client see of a request with `a: 1`, for route levels from least to most
// specific.
Outcome Exercise(const char* own, bool most_specific_wins,
                 const std::vector<HeaderMutations>& levels) {
  Outcome outcome;
  HttpFilterChain chain;
  chain.entries.push_back(
      {"m", std::make_unique<HeaderMutationFilter>(Compile(own), most_specific_wins)});
  chain.entries.push_back({"o", std::make_unique<Origin>(&outcome.request)});
  testing::TestExchange exchange;
  RouteBase route;
  route.filter_configs.resize(1);
  for (const HeaderMutations& level : levels) route.filter_configs[0].push_back(&level);
  exchange.set_route(&route);
  exchange.set_request_head(std::make_unique<RequestHead>());
  exchange.request_head()->method = "GET";
  exchange.request_head()->headers.AddCopy("a", "1");
  Exchange& base = exchange;
  base.worker().scope().Spawn(Run(chain, base, &outcome));
  base.worker().Run();
  return outcome;
}

TEST_CASE("requests and responses are changed", "[header_mutation]") {
  const Outcome outcome = Exercise(
      "request_mutations { remove: 'A' } request_mutations { append { header { key: 'm' value: "
      "'%REQ(:method)%' } } }"
      "response_mutations { append { header { key: 'copy' value: '%RESP(x)%' } } } "
      "response_mutations { remove: 'x' }",
      false, {});
  CHECK(outcome.request == "m=GET ");
  CHECK(outcome.response == "copy=origin ");
}

TEST_CASE("without mutations nothing changes", "[header_mutation]") {
  const Outcome outcome = Exercise("", false, {});
  CHECK(outcome.request == "a=1 ");
  CHECK(outcome.response == "x=origin ");
}

TEST_CASE("the order of the levels decides who wins", "[header_mutation]") {
  std::vector<HeaderMutations> levels;
  levels.push_back(Compile(SetBoth("host").c_str()));
  levels.push_back(Compile(SetBoth("route").c_str()));
  const std::string own = SetBoth("own");
  CHECK(Exercise(own.c_str(), false, {}).request == "a=1 x=own ");
  const Outcome least = Exercise(own.c_str(), false, levels);
  CHECK(least.request == "a=1 x=host ");
  CHECK(least.response == "x=host ");
  const Outcome most = Exercise(own.c_str(), true, levels);
  CHECK(most.request == "a=1 x=route ");
  CHECK(most.response == "x=route ");
}

TEST_CASE("mistakes are reported where they are", "[header_mutation]") {
  v3::Mutations config;
  REQUIRE(google::protobuf::TextFormat::ParseFromString(
      "request_mutations { remove: 'host' } response_mutations { append { header { key: ':status' "
      "value: '200' } } }",
      &config));
  config::Diagnostics diagnostics;
  HeaderMutations::Build(config, "f", diagnostics);
  REQUIRE(diagnostics.errors() == 2);
  CHECK(diagnostics.problems()[0].path == "f.mutations.request_mutations[0].remove");
  CHECK(diagnostics.problems()[1].path == "f.mutations.response_mutations[0].append.header.key");
}

}  // namespace
}  // namespace sluice
