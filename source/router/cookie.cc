// Looking up cookies. Any thread.
#include "source/router/cookie.h"

#include "source/base/strings.h"

namespace sluice {
namespace {

std::optional<std::string_view> FindIn(std::string_view list, std::string_view name) {
  while (!list.empty()) {
    const size_t end = std::min(list.find(';'), list.size());
    const std::string_view pair = Trim(list.substr(0, end));
    list.remove_prefix(std::min(end + 1, list.size()));
    const size_t equals = pair.find('=');
    if (equals == std::string_view::npos || Trim(pair.substr(0, equals)) != name) continue;
    std::string_view value = Trim(pair.substr(equals + 1));
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
      value = value.substr(1, value.size() - 2);
    return value;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string_view> Cookie(const RequestHead& head, std::string_view name) {
  for (const Header& header : head.headers) {
    if (header.name != "cookie") continue;
    if (const auto value = FindIn(header.value, name)) return value;
  }
  return std::nullopt;
}

absl::StatusOr<CookieMatcher> CookieMatcher::Build(
    const envoy::config::route::v3::CookieMatcher& config) {
  auto string = StringMatcher::Build(config.string_match());
  if (!string.ok()) return string.status();
  return CookieMatcher(config.name(), *std::move(string), config.invert_match());
}

bool CookieMatcher::Matches(const RequestHead& head) const {
  const auto value = Cookie(head, name_);
  return (value.has_value() && string_.Matches(*value)) != invert_;
}

}  // namespace sluice
