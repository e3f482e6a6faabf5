// Path normalisation, in one pass that copies bytes and one that drops segments. Pure functions,
// any thread.
#include "source/http/path.h"

#include <vector>

#include "source/base/strings.h"
#include "source/http/bytes.h"

namespace sluice {
namespace {

bool IsUnreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

// Bytes that a URI has only escaped (RFC 3986 2); some origins refuse them bare.
template <char... kMore>
using Odd = AnyOf<'"', '<', '>', '^', '`', '{', '|', '}', kMore...>;

// Splits off the query, with its '?'.
std::string_view CutQuery(std::string_view* path) {
  const size_t mark = path->find('?');
  if (mark == std::string_view::npos) return {};
  const std::string_view query = path->substr(mark);
  *path = path->substr(0, mark);
  return query;
}

// A '%' that begins no escape, and must not begin one when what follows it has been decoded: it is
// escaped then.
std::string KeepBare(std::string_view path, const std::vector<size_t>& bare) {
  std::string out;
  size_t done = 0;
  for (const size_t at : bare) {
    out += path.substr(done, at + 1 - done);
    done = at + 1;
    if (at + 2 < path.size() && HexValue(path[at + 1]) >= 0 && HexValue(path[at + 2]) >= 0)
      out += "25";
  }
  out += path.substr(done);
  return out;
}

void PutEscaped(char c, std::string* out) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  *out += {'%', kDigits[static_cast<uint8_t>(c) >> 4], kDigits[c & 15]};
}

// Decodes what RFC 3986 6.2.2.2 calls unreserved, and escapes what a URI may not have bare; nullopt
// for "%00".
std::optional<std::string> DecodeUnreserved(std::string_view path) {
  std::string out;
  std::vector<size_t> bare;  // where '%' begins no escape
  out.reserve(path.size());
  for (size_t i = 0; i < path.size(); ++i) {
    if (Odd<>::Is(path[i])) {
      PutEscaped(path[i], &out);
      continue;
    }
    if (path[i] != '%') {
      out += path[i] == '\\' ? '/' : path[i];
      continue;
    }
    const int high = i + 2 < path.size() ? HexValue(path[i + 1]) : -1;
    const int low = high < 0 ? -1 : HexValue(path[i + 2]);
    if (low < 0) {
      bare.push_back(out.size());
      out += '%';
      continue;
    }
    if (high == 0 && low == 0) return std::nullopt;
    const char c = static_cast<char>(high * 16 + low);
    if (IsUnreserved(c)) {
      out += c;
    } else {
      out += path.substr(i, 3);
    }
    i += 2;
  }
  return bare.empty() ? out : KeepBare(out, bare);
}

bool IsDotWithParameter(std::string_view segment) {
  return segment.starts_with(".;") || segment.starts_with("..;");
}

// RFC 3986 5.2.4 over a path that starts with '/'.
std::optional<std::string> RemoveDotSegments(std::string_view path) {
  std::string out;
  out.reserve(path.size());
  while (!path.empty()) {
    const size_t end = std::min(path.find('/', 1), path.size());
    const std::string_view segment = path.substr(1, end - 1);
    const bool last = end == path.size();
    if (IsDotWithParameter(segment)) return std::nullopt;
    if (segment == "..") out.resize(out.empty() ? 0 : out.rfind('/'));
    if (segment != "." && segment != "..") {
      out += path.substr(0, end);
    } else if (last) {
      out += '/';
    }
    path.remove_prefix(end);
  }
  if (out.empty()) out = "/";
  return out;
}

// True when NormalizePath would change nothing: the usual path, recognised without a copy.
bool IsNormal(std::string_view path) {
  const char* const end = path.data() + path.size();
  const char* odd = path.data();
  while ((odd = FindFirst<Odd<'%', '\\', '.'>>(odd, end)) != end) {
    if (*odd != '.' || odd[-1] == '/') return false;
    ++odd;
  }
  return true;
}

}  // namespace

std::optional<std::string> NormalizePath(std::string_view path) {
  const std::string_view query = CutQuery(&path);
  if (!path.starts_with('/') && !path.starts_with('\\')) return std::nullopt;
  const auto decoded = DecodeUnreserved(path);
  if (!decoded.has_value()) return std::nullopt;
  auto out = RemoveDotSegments(*decoded);
  if (out.has_value()) *out += query;
  return out;
}

std::string MergeSlashes(std::string_view path) {
  const std::string_view query = CutQuery(&path);
  std::string out;
  out.reserve(path.size() + query.size());
  for (const char c : path) {
    if (c != '/' || out.empty() || out.back() != '/') out += c;
  }
  out += query;
  return out;
}

std::optional<std::string> UnescapeSlashes(std::string_view path) {
  const std::string_view query = CutQuery(&path);
  std::string out;
  bool changed = false;
  for (size_t i = 0; i < path.size(); ++i) {
    const std::string_view escape = path.substr(i, 3);
    const bool slash = EqualsIgnoreCase(escape, "%2f"), backslash = EqualsIgnoreCase(escape, "%5c");
    if (!slash && !backslash) {
      out += path[i];
      continue;
    }
    out += slash ? '/' : '\\';
    changed = true;
    i += 2;
  }
  if (!changed) return std::nullopt;
  out += query;
  return out;
}

PathVerdict CheckPath(std::string_view path, const PathSettings& settings) {
  using Action = PathVerdict::Action;
  if (!HasNone<AnyOf<'#', '\0'>>(path)) return {Action::kReject, {}};
  if (!path.starts_with('/')) return {};
  PathVerdict verdict;
  const auto current = [&]() -> std::string_view {
    return verdict.path.empty() ? path : verdict.path;
  };
  if (settings.escaped_slashes != EscapedSlashes::kKeep) {
    if (auto unescaped = UnescapeSlashes(path); unescaped.has_value()) {
      if (settings.escaped_slashes == EscapedSlashes::kReject) return {Action::kReject, {}};
      if (settings.escaped_slashes == EscapedSlashes::kRedirect) verdict.action = Action::kRedirect;
      verdict.path = *std::move(unescaped);
    }
  }
  if (settings.normalize && !IsNormal(current().substr(0, current().find('?')))) {
    auto normal = NormalizePath(current());
    if (!normal.has_value()) return {Action::kReject, {}};
    verdict.path = *std::move(normal);
  }
  if (settings.merge_slashes) {
    const std::string_view now = current();
    if (now.substr(0, now.find('?')).find("//") != std::string_view::npos)
      verdict.path = MergeSlashes(now);
  }
  return verdict;
}

}  // namespace sluice
