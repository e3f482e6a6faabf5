// URI templates: the patterns of envoy.path.match.uri_template and the rewrites made of what they
// captured. "/{user}/{rest=**}.html": `*` is one segment, `**` the rest, a name in braces captures.
// Immutable, any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <re2/re2.h>

#include "absl/status/statusor.h"

namespace sluice {

class UriTemplate {
 public:
  /// InvalidArgument says what is wrong with the template.
  static absl::StatusOr<std::shared_ptr<const UriTemplate>> Parse(std::string_view text);

  /// `path`: without query.
  bool Matches(std::string_view path) const;
  /// What the variables captured, in the order of variables(); empty when it does not match.
  std::vector<std::string_view> Capture(std::string_view path) const;
  const std::vector<std::string>& variables() const { return variables_; }

 private:
  UriTemplate() = default;

  std::unique_ptr<const RE2> regex_;
  std::vector<std::string> variables_;
};

class UriTemplateRewrite {
 public:
  /// InvalidArgument when `text` does not begin with '/', or names what `match` does not capture.
  static absl::StatusOr<std::shared_ptr<const UriTemplateRewrite>> Parse(
      std::string_view text, std::shared_ptr<const UriTemplate> match);

  /// The new path, without query; `path` itself when the template does not match it (any more).
  std::string Rewrite(std::string_view path) const;

 private:
  struct Piece {
    std::string text;   // when variable is negative
    int variable = -1;  // of the template
  };
  UriTemplateRewrite() = default;

  std::shared_ptr<const UriTemplate> match_;
  std::vector<Piece> pieces_;
};

}  // namespace sluice
