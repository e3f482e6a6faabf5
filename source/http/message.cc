// Pseudo header names. Worker thread only.
#include "source/http/message.h"

#include <charconv>

namespace sluice {
std::string_view ToString(HttpVersion version) {
  switch (version) {
    case HttpVersion::kHttp10:
      return "HTTP/1.0";
    case HttpVersion::kHttp11:
      return "HTTP/1.1";
    case HttpVersion::kHttp2:
      return "HTTP/2";
  }
  return "-";
}

bool RequestHead::is_grpc() const {
  constexpr std::string_view kType = "application/grpc";
  const std::string_view type = headers.Get(HeaderId::kContentType).value_or("");
  return type.starts_with(kType) && (type.size() == kType.size() || type[kType.size()] == '+');
}

std::optional<std::string_view> RequestHead::Get(std::string_view name) const {
  if (name.empty() || name[0] != ':') {
    if (name == "host") return authority.empty() ? std::nullopt : std::optional(authority);
    return headers.Get(name);
  }
  std::string_view value;
  if (name == ":method") value = method;
  if (name == ":scheme") value = scheme;
  if (name == ":authority") value = authority;
  if (name == ":path") value = path;
  return value.empty() ? std::nullopt : std::optional(value);
}

std::optional<std::string_view> ResponseHead::Get(std::string_view name) {
  if (name != ":status") return headers.Get(name);
  char text[8];
  const auto end = std::to_chars(text, text + sizeof(text), status).ptr;
  return arena.Copy({text, static_cast<size_t>(end - text)});
}

}  // namespace sluice
