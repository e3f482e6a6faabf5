// Cookies of a request (RFC 6265 4.2), for matchers and hash policies. Pure functions over a head;
// the matcher is immutable, any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "source/observe/match/match.h"

namespace sluice {

/// The value of the first cookie of that name, without quotes around it; nullopt when there is
/// none.
std::optional<std::string_view> Cookie(const RequestHead& head, std::string_view name);

/// envoy.config.route.v3.CookieMatcher.
class CookieMatcher {
 public:
  static absl::StatusOr<CookieMatcher> Build(const envoy::config::route::v3::CookieMatcher& config);
  /// A request without the cookie does not match; inverted it does.
  bool Matches(const RequestHead& head) const;

 private:
  CookieMatcher(std::string name, StringMatcher string, bool invert)
      : name_(std::move(name)), string_(std::move(string)), invert_(invert) {}

  std::string name_;
  StringMatcher string_;
  bool invert_;
};

}  // namespace sluice
