// Proxy authentication (sluice.filters.http.proxy_auth): clients of a forward proxy log in by
// Proxy-Authorization, and are asked to by 407. Immutable, shared by all workers.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <google/protobuf/struct.pb.h>

#include "api/sluice/filters/http/proxy_auth/v1/proxy_auth.pb.h"
#include "source/extension/auth/authenticator.h"
#include "source/extension/registry.h"
#include "source/http/filter.h"

namespace sluice {

/// http.<prefix>.proxy_auth.*
struct ProxyAuthStats {
  explicit ProxyAuthStats(const stats::Scope& scope)
      : allowed(scope.counter("allowed")),
        missing(scope.counter("missing")),
        denied(scope.counter("denied")),
        overflow(scope.counter("overflow")) {}

  Counter allowed;
  Counter missing;   // no credentials: the first request of many clients
  Counter denied;    // wrong or malformed ones
  Counter overflow;  // too many passwords were being checked
};

/// The users of the filter, or of a route.
struct ProxyAuthUsers {
  ProxyAuthUsers(PasswordFile file, size_t workers);

  Authenticator authenticator;
  std::vector<google::protobuf::Struct> metadata;  // by user
};

class ProxyAuthFilter final : public Filter {
 public:
  ProxyAuthFilter(std::unique_ptr<const ProxyAuthUsers> users, std::string_view realm,
                  const stats::Scope& scope);

  Task<Response> Handle(Request request, Exchange& exchange, Next next) const override;

 private:
  std::optional<Response> Judge(const LoginResult& result, const ProxyAuthUsers& users,
                                Exchange& exchange) const;
  Task<Response> CheckFirst(const ProxyAuthUsers& users, Request request, Exchange& exchange,
                            Next next) const;

  const std::unique_ptr<const ProxyAuthUsers> own_;
  const std::string challenge_;
  const ProxyAuthStats stats_;
};

/// Makes the filter known.
void RegisterProxyAuth(Registry& registry);

}  // namespace sluice
