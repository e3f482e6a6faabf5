// The proxy authentication filter. Worker threads, but for what is built.
#include "extensions/filters/http/proxy_auth/filter.h"

#include "absl/strings/str_replace.h"
#include "source/http/reply.h"

namespace sluice {
namespace {

namespace v1 = sluice::filters::http::proxy_auth::v1;

constexpr std::string_view kMetadata = "sluice.filters.http.proxy_auth";

std::string_view DetailsFor(Login login) {
  switch (login) {
    case Login::kNone:
      return "proxy_auth_missing";
    case Login::kScheme:
      return "proxy_auth_scheme";
    case Login::kMalformed:
      return "proxy_auth_malformed";
    default:
      return "proxy_auth_denied";
  }
}

absl::StatusOr<std::unique_ptr<const ProxyAuthUsers>> Load(
    const envoy::config::core::v3::DataSource& source, FactoryContext& context) {
  auto file = PasswordFile::Load(source, PasswordFile::Hashes::kAll);
  if (!file.ok()) return Invalid("users: ", Std(file.status().message()));
  return std::make_unique<const ProxyAuthUsers>(*std::move(file), context.server.workers);
}

}  // namespace

ProxyAuthUsers::ProxyAuthUsers(PasswordFile file, size_t workers)
    : authenticator(std::move(file), workers) {
  for (const PasswordFile::User& user : authenticator.users()) {
    metadata.emplace_back();
    (*metadata.back().mutable_fields())["username"].set_string_value(user.name);
  }
}

ProxyAuthFilter::ProxyAuthFilter(std::unique_ptr<const ProxyAuthUsers> users,
                                 std::string_view realm, const stats::Scope& scope)
    : own_(std::move(users)),
      challenge_(Cat("Basic realm=\"",
                     absl::StrReplaceAll(Absl(realm.empty() ? "proxy" : realm),
                                         {{"\\", "\\\\"}, {"\"", "\\\""}}),
                     "\"")),
      stats_(scope.Sub("proxy_auth")) {}

// An answer when the request goes no further. It never repeats what the client sent.
std::optional<Response> ProxyAuthFilter::Judge(const LoginResult& result,
                                               const ProxyAuthUsers& users,
                                               Exchange& exchange) const {
  switch (result.login) {
    case Login::kGood:
      stats_.allowed.Add();
      exchange.AddMetadata(kMetadata, users.metadata[result.user]);
      return std::nullopt;
    case Login::kCancelled:
      return ErrorReply(MakeError(Reason::kCancelled), exchange);
    case Login::kBusy: {
      stats_.overflow.Add();
      Response response = Refusal(exchange, 503, "too many logins at once", "proxy_auth_overflow");
      response.head->headers.Add(HeaderId::kOther, "retry-after", "1");
      return response;
    }
    default:
      break;
  }
  (result.login == Login::kNone ? stats_.missing : stats_.denied).Add();
  Response response =
      Refusal(exchange, 407, "proxy authentication required", DetailsFor(result.login));
  response.head->headers.Add(HeaderId::kProxyAuthenticate, challenge_);
  return response;
}

Task<Response> ProxyAuthFilter::Handle(Request request, Exchange& exchange, Next next) const {
  const ProxyAuthUsers* route = next.RouteConfig<ProxyAuthUsers>();
  const ProxyAuthUsers& users = route != nullptr ? *route : *own_;
  const auto worker = static_cast<size_t>(exchange.worker().index());
  const auto result = users.authenticator.TryCheck(
      request.head->headers.GetJoined(HeaderId::kProxyAuthorization), worker);
  if (!result.has_value()) return CheckFirst(users, std::move(request), exchange, next);
  if (auto refused = Judge(*result, users, exchange)) return Answered(*std::move(refused));
  return next(std::move(request));
}

Task<Response> ProxyAuthFilter::CheckFirst(const ProxyAuthUsers& users, Request request,
                                           Exchange& exchange, Next next) const {
  const std::string_view field =
      request.head->headers.GetJoined(HeaderId::kProxyAuthorization).value_or("");
  const LoginResult result = co_await users.authenticator.Check(field, exchange);
  if (auto refused = Judge(result, users, exchange)) co_return *std::move(refused);
  co_return co_await next(std::move(request));
}

void RegisterProxyAuth(Registry& registry) {
  registry.AddHttpFilter<v1::ProxyAuth, v1::ProxyAuthPerRoute>(
      "sluice.filters.http.proxy_auth", Posture::kRobustToUntrustedBoth,
      [](const v1::ProxyAuth& config, FactoryContext& context) -> absl::StatusOr<FilterPtr> {
        auto users = Load(config.users(), context);
        if (!users.ok()) return users.status();
        return std::make_unique<ProxyAuthFilter>(*std::move(users), config.realm(), context.scope);
      },
      [](const v1::ProxyAuthPerRoute& config,
         FactoryContext& context) -> absl::StatusOr<std::shared_ptr<const ProxyAuthUsers>> {
        auto users = Load(config.users(), context);
        if (!users.ok()) return users.status();
        return std::shared_ptr<const ProxyAuthUsers>(*std::move(users));
      });
}

}  // namespace sluice
