// Hash policies of a route: what of a request decides which endpoint a hashing balancer takes.
// Immutable, any thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <google/protobuf/repeated_ptr_field.h>

#include "api/envoy/config/route/v3/route_components.pb.h"
#include "source/config/diagnostics.h"
#include "source/http/exchange.h"
#include "source/router/path_rewrite.h"

namespace sluice {

class HashPolicies {
 public:
  using SetCookies = std::vector<std::string>;
  using Configs =
      google::protobuf::RepeatedPtrField<envoy::config::route::v3::RouteAction::HashPolicy>;

  /// Null when there are none. Problems are reported at `<path>[i]` and below.
  static std::shared_ptr<const HashPolicies> Build(const Configs& configs, const std::string& path,
                                                   config::Diagnostics& diagnostics);

  /// The hash of a request; nullopt when no policy finds anything in it. A client that lacks a
  /// cookie which it is to get is given one: its Set-Cookie is added to `set_cookies`. Null:
  /// cookies are not given.
  std::optional<uint64_t> Hash(const RequestHead& head, const Exchange& exchange,
                               SetCookies* set_cookies) const;

 private:
  struct Policy {
    enum class Kind : uint8_t { kHeader, kCookie, kSourceIp, kQuery, kFilterState };
    Kind kind = Kind::kHeader;
    bool terminal = false;
    std::string name;                    // of the header in lower case, cookie, parameter, object
    std::optional<PathRewrite> rewrite;  // kHeader: of its value
    bool gives_cookie = false;           // kCookie: has a ttl
    std::string attributes;              // kCookie: what follows the value in Set-Cookie
  };
  static std::optional<uint64_t> HashHeader(const Policy& policy, const RequestHead& head);
  static std::optional<uint64_t> HashCookie(const Policy& policy, const RequestHead& head,
                                            const Exchange& exchange, SetCookies* set_cookies);
  static std::optional<uint64_t> HashOne(const Policy& policy, const RequestHead& head,
                                         const Exchange& exchange, SetCookies* set_cookies);

  std::vector<Policy> policies_;
};

}  // namespace sluice
