// Admin as the handler of exchanges: what a session sees of it, and whom it refuses.
#include "source/server/admin/admin.h"

#include <algorithm>

#include "source/base/strings.h"
#include "source/http/testing/exchange.h"
#include "source/server/admin/testing/server.h"

namespace sluice::admin {
namespace {

TEST_CASE("Whom the admin refuses") {
  struct Row {
    std::string_view method, host;
    std::optional<std::string_view> origin;
    bool loopback, refused;
  };
  const std::optional<std::string_view> none;
  for (const Row& row : {
           Row{"GET", "127.0.0.1:9901", none, true, false},
           Row{"GET", "[::1]:9901", none, true, false},
           Row{"GET", "localhost:9901", none, true, false},
           Row{"GET", "x.LocalHost", none, true, false},
           Row{"GET", "localhost.:9901", none, true, false},
           Row{"GET", "myhost:9901", none, true, false},
           Row{"GET", "", none, true, false},
           // A name that was made to resolve to 127.0.0.1.
           Row{"GET", "evil.example:9901", none, true, true},
           Row{"GET", "127.0.0.1.evil.example", none, true, true},
           Row{"GET", "localhost.evil.example", none, true, true},
           Row{"GET", "evil.example.:9901", none, true, true},
           Row{"POST", "evil.example:9901", "http://evil.example:9901", true, true},
           // Elsewhere the name is the operator's own business.
           Row{"GET", "proxy.corp.example:9901", none, false, false},
           Row{"POST", "proxy.corp.example:9901", none, false, false},
           Row{"POST", "proxy.corp.example:9901", "http://proxy.corp.example:9901", false, false},
           Row{"POST", "proxy.corp.example:9901", "http://PROXY.corp.example:9901", false, false},
           Row{"POST", "proxy.corp.example:9901", "http://proxy.corp.example", false, true},
           Row{"POST", "proxy.corp.example:9901", "http://evil.example", false, true},
           Row{"POST", "127.0.0.1:9901", "http://127.0.0.1:9901", true, false},
           Row{"POST", "127.0.0.1:9901", "http://127.0.0.1:8080", true, true},
           Row{"POST", "127.0.0.1:9901", "null", true, true},
           Row{"POST", "127.0.0.1:9901", "", true, true},
           Row{"DELETE", "127.0.0.1:9901", "http://evil.example", true, true},
           // A foreign page may send a GET, but it cannot read the answer, and a GET changes
           // nothing.
           Row{"GET", "127.0.0.1:9901", "http://evil.example", true, false},
       }) {
    INFO(row.method << " " << row.host << " " << row.origin.value_or("-"));
    CHECK(RefusalOf(row.method, row.host, row.origin, row.loopback).empty() != row.refused);
  }
}

class Logger final : public AccessLogger {
 public:
  void Log(const LogContext& context) const override {
    details.emplace_back(context.exchange.details());
  }
  mutable std::vector<std::string> details;
};

// An admin, and one exchange with it.
struct Conversation {
  Conversation(std::string_view method, std::string_view path,
               std::vector<StringMatcher> allow_paths = {})
      : admin{server.context, {logger}, std::move(allow_paths)} {
    auto head = std::make_unique<RequestHead>();
    head->method = method;
    head->path = path;
    head->authority = "127.0.0.1:9901";
    exchange.set_request_head(std::move(head));
  }

  // Runs the request and tells the admin that it is over, as a session does.
  void Run(std::string body = {}) {
    Worker& worker = static_cast<Exchange&>(exchange).worker();
    worker.scope().Spawn(Serve({exchange.request_head(), body.empty() ? nullptr : TextBody(body)}));
    worker.io().poll();
    REQUIRE(response.head != nullptr);
    exchange.set_response_head(response.head.get());
    done_before_the_end = server.done;
    admin.OnComplete(exchange);
  }

  Task<> Serve(Request request) {
    response = co_await admin.OnRequest(std::move(request), exchange);
    auto all = co_await ReadAll(response.body.get(), 1 << 20);
    text = *std::move(all);
  }

  std::string_view Header(std::string_view name) {
    return response.head->headers.Get(name).value_or("-");
  }

  TestServer server;
  std::shared_ptr<const Logger> logger = std::make_shared<Logger>();
  Admin admin;
  testing::TestExchange exchange;
  Response response;
  std::string text;
  std::vector<std::string> done_before_the_end;
};

TEST_CASE("A page as a response") {
  Conversation one("GET", "/ready?x");
  one.Run();
  CHECK(one.response.head->status == 200);
  CHECK(one.text == "LIVE\n");
  CHECK(one.Header("content-type") == "text/plain; charset=UTF-8");
  CHECK(one.Header("cache-control") == "no-cache, max-age=0");
  CHECK(one.Header("x-content-type-options") == "nosniff");
  CHECK(one.Header("x-frame-options") == "-");
  CHECK(one.logger->details == std::vector<std::string>{"admin_filter_response"});
  const stats::Store& store = one.server.store;
  CHECK(store.Value("http.admin.downstream_rq_total") == 1);
  CHECK(store.Value("http.admin.downstream_rq_completed") == 1);
  CHECK(store.Value("http.admin.downstream_rq_2xx") == 1);
  CHECK(store.Value("http.admin.downstream_rq_active") == 0);
}

TEST_CASE("Statuses and their fields") {
  Conversation home("GET", "/"), wrong_method("GET", "/quitquitquit"), unknown("GET", "/nothing");
  home.Run();
  CHECK(home.Header("x-frame-options") == "DENY");
  wrong_method.Run();
  CHECK(wrong_method.response.head->status == 405);
  CHECK(wrong_method.Header("allow") == "POST");
  CHECK(wrong_method.server.store.Value("http.admin.downstream_rq_4xx") == 1);
  CHECK(wrong_method.server.done.empty());
  unknown.Run();
  CHECK(unknown.response.head->status == 404);
}

TEST_CASE("Only what is allowed") {
  const auto status = [](std::string_view path) {
    using Kind = StringMatcher::Kind;
    Conversation one("GET", path,
                     {StringMatcher(Kind::kExact, "/ready"), StringMatcher(Kind::kPrefix, "/stats"),
                      StringMatcher(Kind::kExact, "/nothing")});
    one.Run();
    if (one.response.head->status == 403)
      CHECK(one.text == Cat("request to path ", path, " not allowed\n"));
    return one.response.head->status;
  };
  CHECK(status("/ready") == 200);
  // The query belongs to what is matched.
  CHECK(status("/ready?x") == 403);
  CHECK(status("/stats?filter=cluster") == 200);
  CHECK(status("/clusters?/stats") == 403);
  CHECK(status("/") == 403);
  CHECK(status("/elsewhere") == 403);
  CHECK(status("/nothing") == 404);
}

TEST_CASE("Quitting waits for the end of the exchange") {
  Conversation one("POST", "/quitquitquit");
  one.Run();
  CHECK(one.text == "OK\n");
  CHECK(one.done_before_the_end.empty());
  CHECK(one.server.done == std::vector<std::string>{"quit"});
}

TEST_CASE("A POST from somebody else's page changes nothing") {
  for (const char* path :
       {"/quitquitquit", "/healthcheck/fail", "/drain_listeners", "/reset_counters"}) {
    Conversation one("POST", path);
    one.exchange.request_head()->headers.AddCopy("origin", "http://evil.example");
    one.Run();
    CHECK(one.response.head->status == 403);
    CHECK(one.server.done.empty());
  }
}

TEST_CASE("Parameters may come as a form") {
  struct Row {
    std::string_view content_type, body;
    std::vector<std::string> done;
  };
  for (const Row& row :
       {Row{"application/x-www-form-urlencoded", "graceful=1", {"drain gracefully"}},
        Row{"Application/X-WWW-Form-Urlencoded; charset=utf-8", "graceful", {"drain gracefully"}},
        Row{"text/plain", "graceful=1", {"drain"}}}) {
    Conversation one("POST", "/drain_listeners");
    one.exchange.request_head()->headers.AddCopy("content-type", row.content_type);
    one.Run(std::string(row.body));
    CHECK(one.response.head->status == 200);
    CHECK(one.server.done == row.done);
  }
  Conversation large("POST", "/drain_listeners");
  large.exchange.request_head()->headers.AddCopy("content-type",
                                                 "application/x-www-form-urlencoded");
  large.Run(std::string(65 * 1024, 'x'));
  CHECK(large.response.head->status == 413);
  CHECK(large.server.done.empty());
}

TEST_CASE("Bytes that are no request are answered, and one that ended early is logged") {
  Conversation one("GET", "/");
  HeadResult result;
  result.state = HeadResult::kError;
  result.status = 431;
  result.body = "Request Header Fields Too Large";
  result.details = "http1.headers_too_large";
  testing::TestExchange exchange;
  const Response response = one.admin.OnBadRequest(result, exchange);
  CHECK(response.head->status == 431);
  CHECK(exchange.details() == "http1.headers_too_large");
  exchange.set_response_head(response.head.get());
  one.admin.OnComplete(exchange);
  testing::TestExchange cut;
  one.admin.OnComplete(cut);
  CHECK(one.logger->details == std::vector<std::string>{"http1.headers_too_large", ""});
  CHECK(one.server.store.Value("http.admin.downstream_rq_active") == 0);
  CHECK(one.server.store.Value("http.admin.downstream_rq_4xx") == 1);
}

}  // namespace
}  // namespace sluice::admin
