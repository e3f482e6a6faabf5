// Path: what a request path means after RFC 3986 normalisation, so that a route and an origin read
// the same path. Pure functions, any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sluice {

/// What to do with %2F, %2f, %5C and %5c (HttpConnectionManager.path_with_escaped_slashes_action).
enum class EscapedSlashes { kKeep, kReject, kRedirect, kForward };

/// The path settings of one HTTP connection manager.
struct PathSettings {
  bool normalize = false;  // normalize_path
  bool merge_slashes = false;
  EscapedSlashes escaped_slashes = EscapedSlashes::kKeep;
};

/// What is to be done with a request.
struct PathVerdict {
  enum class Action { kAccept, kReject, kRedirect };
  Action action = Action::kAccept;
  std::string path;  // kAccept: the new path and query, empty when it is unchanged; kRedirect: the
                     // Location (307)
};

/// Applies the settings in Envoy's order: escaped slashes, dot segments, merged slashes. `path` is
/// path and query and starts with
/// '/'; the query stays as it is. kReject stands for 400 `path_normalization_failed`: a '#' or NUL;
/// escaped slashes where they are forbidden; what NormalizePath refuses. A path that is well as it
/// is costs no allocation.
PathVerdict CheckPath(std::string_view path, const PathSettings& settings);

/// RFC 3986 6.2.2: decodes escapes of unreserved characters, leaves others as they are written, '\'
/// becomes '/', removes dot segments (5.2.4; those above the root vanish). A '%' without two
/// hexadecimal digits stays, and becomes "%25" where decoding behind it would make a new escape.
/// nullopt for "%00" and for a dot segment with a parameter ("..;x", which some origins take for
/// "..").
std::optional<std::string> NormalizePath(std::string_view path);

/// Every run of slashes becomes one slash.
std::string MergeSlashes(std::string_view path);

/// Decodes escaped slashes and backslashes; nullopt when there are none.
std::optional<std::string> UnescapeSlashes(std::string_view path);

}  // namespace sluice
