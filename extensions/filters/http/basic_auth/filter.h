// Basic authentication (envoy.filters.http.basic_auth): lets requests with a known name and
// password pass, and answers 401 to the others. Immutable, shared by all workers.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <google/protobuf/struct.pb.h>

#include "api/envoy/extensions/filters/http/basic_auth/v3/basic_auth.pb.h"
#include "source/extension/auth/authenticator.h"
#include "source/extension/registry.h"
#include "source/http/filter.h"

namespace sluice {

/// http.<prefix>.basic_auth.*
struct BasicAuthStats {
  explicit BasicAuthStats(const stats::Scope& scope)
      : allowed(scope.counter("allowed")), denied(scope.counter("denied")) {}

  Counter allowed;
  Counter denied;
};

/// The users of the filter, or of a route.
struct BasicAuthUsers {
  BasicAuthUsers(PasswordFile file, size_t workers);

  Authenticator authenticator;
  std::vector<google::protobuf::Struct> metadata;  // by user
};

class BasicAuthFilter final : public Filter {
 public:
  using Proto = envoy::extensions::filters::http::basic_auth::v3::BasicAuth;

  /// Null `users`: only routes have some, and elsewhere requests pass.
  BasicAuthFilter(const Proto& config, std::unique_ptr<const BasicAuthUsers> users,
                  const stats::Scope& scope);

  Task<Response> Handle(Request request, Exchange& exchange, Next next) const override;

 private:
  std::optional<std::string_view> Field(const RequestHead& head) const;
  std::optional<Response> Judge(const LoginResult& result, const BasicAuthUsers& users,
                                RequestHead& head, Exchange& exchange) const;
  Task<Response> CheckFirst(const BasicAuthUsers& users, Request request, Exchange& exchange,
                            Next next) const;

  const std::unique_ptr<const BasicAuthUsers> own_;
  const BasicAuthStats stats_;
  const std::string header_;          // in lower case
  const std::string forward_header_;  // in lower case; empty: none
  const bool allow_missing_;
  const bool emit_metadata_;
};

/// Makes the filter known.
void RegisterBasicAuth(Registry& registry);

}  // namespace sluice
