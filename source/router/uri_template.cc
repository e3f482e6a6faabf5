// Turning URI templates into regular expressions. Any thread.
#include "source/router/uri_template.h"

#include <algorithm>

#include "source/base/strings.h"

namespace sluice {
namespace {

constexpr size_t kMaxVariables = 5;

bool IsName(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  return !name.empty() && name.size() <= 16 && letter(name.front()) &&
         std::all_of(name.begin(), name.end(),
                     [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '_'; });
}

re2::StringPiece Piece(std::string_view text) {
  return {text.data(), text.size()};
}

// Reads a template from its start and writes the regular expression for it.
class Parser {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}

  absl::Status Parse() {
    if (!rest_.starts_with('/')) return Invalid("a path template begins with '/'");
    while (!rest_.empty()) {
      absl::Status status = rest_.front() == '{' ? Variable() : Plain(&rest_);
      if (!status.ok()) return status;
    }
    if (variables.size() > kMaxVariables)
      return Invalid("a path template has at most ", kMaxVariables, " variables");
    return absl::OkStatus();
  }

  std::string regex;
  std::vector<std::string> variables;

 private:
  // One wildcard or literal character at the start of `text`.
  absl::Status Plain(std::string_view* text) {
    const char c = text->front();
    if (c == '{' || c == '}' || c == '=' || c == '?' || c == '#' || static_cast<uint8_t>(c) <= ' ')
      return Invalid("unexpected '", std::string_view(&c, 1), "' in a path template");
    if (c == '*') return Wildcard(text);
    if (c == '/' && text->substr(1).starts_with('/')) return Invalid("an empty segment");
    regex += RE2::QuoteMeta(Piece(text->substr(0, 1)));
    text->remove_prefix(1);
    return absl::OkStatus();
  }

  absl::Status Wildcard(std::string_view* text) {
    if (ended_) return Invalid("nothing but literal text may follow '**'");
    const bool rest = text->starts_with("**");
    text->remove_prefix(rest ? 2 : 1);
    if (text->starts_with('*')) return Invalid("'***' is no wildcard");
    regex += rest ? ".*" : "[^/]+";
    ended_ = rest;
    return absl::OkStatus();
  }

  absl::Status Variable() {
    const size_t end = rest_.find('}');
    if (end == std::string_view::npos) return Invalid("a '{' without '}'");
    const std::string_view inside = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    const size_t equals = inside.find('=');
    const std::string_view name = inside.substr(0, equals);
    std::string_view pattern = equals == std::string_view::npos ? "*" : inside.substr(equals + 1);
    if (!IsName(name)) return Invalid("'", name, "' is no name of a variable");
    if (pattern.empty()) return Invalid("the variable '", name, "' has an empty pattern");
    if (std::find(variables.begin(), variables.end(), name) != variables.end())
      return Invalid("the variable '", name, "' occurs twice");
    variables.emplace_back(name);
    regex += '(';
    while (!pattern.empty()) {
      if (absl::Status status = Plain(&pattern); !status.ok()) return status;
    }
    regex += ')';
    return absl::OkStatus();
  }

  std::string_view rest_;
  bool ended_ = false;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const UriTemplate>> UriTemplate::Parse(std::string_view text) {
  Parser parser(text);
  if (absl::Status status = parser.Parse(); !status.ok()) return status;
  std::shared_ptr<UriTemplate> made(new UriTemplate());
  made->regex_ = std::make_unique<const RE2>(parser.regex, RE2::Quiet);
  if (!made->regex_->ok()) return Invalid("bad path template: ", made->regex_->error());
  made->variables_ = std::move(parser.variables);
  return made;
}

bool UriTemplate::Matches(std::string_view path) const {
  return RE2::FullMatch(Piece(path), *regex_);
}

std::vector<std::string_view> UriTemplate::Capture(std::string_view path) const {
  std::vector<re2::StringPiece> groups(variables_.size() + 1);
  if (!regex_->Match(Piece(path), 0, path.size(), RE2::ANCHOR_BOTH, groups.data(),
                     static_cast<int>(groups.size())))
    return {};
  std::vector<std::string_view> captured;
  for (size_t i = 1; i < groups.size(); ++i)
    captured.emplace_back(groups[i].data(), groups[i].size());
  return captured;
}

absl::StatusOr<std::shared_ptr<const UriTemplateRewrite>> UriTemplateRewrite::Parse(
    std::string_view text, std::shared_ptr<const UriTemplate> match) {
  if (!text.starts_with('/')) return Invalid("a path rewrite begins with '/'");
  std::shared_ptr<UriTemplateRewrite> made(new UriTemplateRewrite());
  const std::vector<std::string>& names = match->variables();
  while (!text.empty()) {
    const size_t open = std::min(text.find('{'), text.size());
    const std::string_view literal = text.substr(0, open);
    if (literal.find_first_of("}*?#") != std::string_view::npos)
      return Invalid("a path rewrite holds literal text and variables in braces only");
    if (!literal.empty()) made->pieces_.push_back({std::string(literal), -1});
    text.remove_prefix(open);
    if (text.empty()) break;
    const size_t close = text.find('}');
    if (close == std::string_view::npos) return Invalid("a '{' without '}'");
    const std::string_view name = text.substr(1, close - 1);
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) return Invalid("the path template has no variable '", name, "'");
    made->pieces_.push_back({{}, static_cast<int>(found - names.begin())});
    text.remove_prefix(close + 1);
  }
  made->match_ = std::move(match);
  return made;
}

std::string UriTemplateRewrite::Rewrite(std::string_view path) const {
  const std::vector<std::string_view> captured = match_->Capture(path);
  if (captured.empty() && !match_->Matches(path)) return std::string(path);
  std::string out;
  for (const auto& piece : pieces_)
    out += piece.variable < 0 ? std::string_view(piece.text)
                              : captured[static_cast<size_t>(piece.variable)];
  return out;
}

}  // namespace sluice
