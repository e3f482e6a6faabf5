// DomainTable: which virtual host serves a host name. Filled while it is built, then immutable and
// shared by all workers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "source/base/strings.h"

namespace sluice {

class DomainTable {
 public:
  /// Domains in Envoy's forms: "h", "h:80", "h:*" (any port), "*.h", "*.h:80", "*:80", "h.*", "*";
  /// and "*.h:*" (any port), which Envoy accepts and never matches. InvalidArgument for a
  /// duplicate, an empty domain and a '*' elsewhere.
  absl::Status Add(std::string_view domain, uint32_t virtual_host);

  /// RouteConfiguration.ignore_port_in_host_matching: a port in the request's host is not looked
  /// at.
  void set_ignore_port(bool ignore) { ignore_port_ = ignore; }

  /// Exact name, then the longest suffix, then the longest prefix, then "*". Ignores case.
  /// Allocates nothing for hosts of up to 255 bytes, and does not look at the host at all when "*"
  /// is the only domain.
  std::optional<uint32_t> Find(std::string_view host) const;

 private:
  using Names = StringMap<uint32_t>;
  struct Suffixes {
    size_t length;   // of the fixed text
    Names names;     // ".example.com", ":443"
    Names any_port;  // ".example.com" of "*.example.com:*"
  };
  struct Prefixes {
    size_t length;
    Names names;
  };
  std::optional<uint32_t> FindLower(std::string_view host) const;

  Names exact_;
  std::vector<Suffixes> suffixes_;  // longest first
  std::vector<Prefixes> prefixes_;  // longest first
  std::optional<uint32_t> any_;
  bool ignore_port_ = false;
};

}  // namespace sluice
