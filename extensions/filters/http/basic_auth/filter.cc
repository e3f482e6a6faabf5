// The basic authentication filter. Worker threads, but for what is built.
#include "extensions/filters/http/basic_auth/filter.h"

#include "absl/strings/str_replace.h"
#include "source/http/reply.h"

namespace sluice {
namespace {

namespace v3 = envoy::extensions::filters::http::basic_auth::v3;

constexpr std::string_view kMetadata = "envoy.filters.http.basic_auth";

// Envoy's words, on which scripts depend.
struct Words {
  std::string_view body, details;
};
Words WordsFor(Login login) {
  switch (login) {
    case Login::kNone:
      return {"User authentication failed. Missing username and password.",
              "no_credential_for_basic_auth"};
    case Login::kScheme:
      return {"User authentication failed. Expected 'Basic' authentication scheme.",
              "invalid_scheme_for_basic_auth"};
    case Login::kMalformed:
      return {"User authentication failed. Invalid basic credential format.",
              "invalid_format_for_basic_auth"};
    default:
      return {"User authentication failed. Invalid username/password combination.",
              "invalid_credential_for_basic_auth"};
  }
}

absl::StatusOr<std::unique_ptr<const BasicAuthUsers>> Load(
    const envoy::config::core::v3::DataSource& source, FactoryContext& context) {
  auto file = PasswordFile::Load(source, PasswordFile::Hashes::kShaOnly);
  if (!file.ok()) return Invalid("users: ", Std(file.status().message()));
  return std::make_unique<const BasicAuthUsers>(*std::move(file), context.server.workers);
}

}  // namespace

BasicAuthUsers::BasicAuthUsers(PasswordFile file, size_t workers)
    : authenticator(std::move(file), workers) {
  for (const PasswordFile::User& user : authenticator.users()) {
    metadata.emplace_back();
    (*metadata.back().mutable_fields())["username"].set_string_value(user.name);
  }
}

BasicAuthFilter::BasicAuthFilter(const Proto& config, std::unique_ptr<const BasicAuthUsers> users,
                                 const stats::Scope& scope)
    : own_(std::move(users)),
      stats_(scope.Sub("basic_auth")),
      header_(config.authentication_header().empty() ? "authorization"
                                                     : ToLower(config.authentication_header())),
      forward_header_(ToLower(config.forward_username_header())),
      allow_missing_(config.allow_missing()),
      emit_metadata_(config.emit_dynamic_metadata()) {}

std::optional<std::string_view> BasicAuthFilter::Field(const RequestHead& head) const {
  return head.headers.GetJoined(header_);  // several are no credentials
}

// An answer when the request goes no further.
std::optional<Response> BasicAuthFilter::Judge(const LoginResult& result,
                                               const BasicAuthUsers& users, RequestHead& head,
                                               Exchange& exchange) const {
  const bool good = result.login == Login::kGood;
  if (good || (result.login == Login::kNone && allow_missing_)) {
    stats_.allowed.Add();
    // Nobody else may say who the user is.
    if (!good && !forward_header_.empty()) head.headers.Remove(forward_header_);
    if (!good) return std::nullopt;
    if (!forward_header_.empty())
      head.headers.Set(forward_header_, users.authenticator.users()[result.user].name);
    if (emit_metadata_) exchange.AddMetadata(kMetadata, users.metadata[result.user]);
    return std::nullopt;
  }
  stats_.denied.Add();
  const auto [body, details] = WordsFor(result.login);
  Response response = Refusal(exchange, 401, body, details);
  const std::string realm = absl::StrReplaceAll(Cat(head.scheme, "://", head.authority, head.path),
                                                {{"\\", "\\\\"}, {"\"", "\\\""}});
  response.head->headers.Set("www-authenticate", Cat("Basic realm=\"", realm, "\""));
  return response;
}

Task<Response> BasicAuthFilter::Handle(Request request, Exchange& exchange, Next next) const {
  const BasicAuthUsers* users = next.RouteConfig<BasicAuthUsers>();
  if (users == nullptr) users = own_.get();
  if (users == nullptr) return next(std::move(request));
  const auto worker = static_cast<size_t>(exchange.worker().index());
  const auto result = users->authenticator.TryCheck(Field(*request.head), worker);
  if (!result.has_value()) return CheckFirst(*users, std::move(request), exchange, next);
  if (auto refused = Judge(*result, *users, *request.head, exchange))
    return Answered(*std::move(refused));
  return next(std::move(request));
}

Task<Response> BasicAuthFilter::CheckFirst(const BasicAuthUsers& users, Request request,
                                           Exchange& exchange, Next next) const {
  const LoginResult result =
      co_await users.authenticator.Check(Field(*request.head).value_or(""), exchange);
  if (auto refused = Judge(result, users, *request.head, exchange)) co_return *std::move(refused);
  co_return co_await next(std::move(request));
}

void RegisterBasicAuth(Registry& registry) {
  registry.AddHttpFilter<v3::BasicAuth, v3::BasicAuthPerRoute>(
      "envoy.filters.http.basic_auth", Posture::kRobustToUntrustedBoth,
      [](const v3::BasicAuth& config, FactoryContext& context) -> absl::StatusOr<FilterPtr> {
        std::unique_ptr<const BasicAuthUsers> users;
        if (config.has_users()) {
          auto loaded = Load(config.users(), context);
          if (!loaded.ok()) return loaded.status();
          users = *std::move(loaded);
        }
        return std::make_unique<BasicAuthFilter>(config, std::move(users), context.scope);
      },
      [](const v3::BasicAuthPerRoute& config,
         FactoryContext& context) -> absl::StatusOr<std::shared_ptr<const BasicAuthUsers>> {
        auto loaded = Load(config.users(), context);
        if (!loaded.ok()) return loaded.status();
        return std::shared_ptr<const BasicAuthUsers>(*std::move(loaded));
      });
}

}  // namespace sluice
