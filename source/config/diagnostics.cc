// What is wrong with a configuration, and where. Owned by the thread that loads.
#include "source/config/diagnostics.h"

#include <algorithm>
#include <tuple>

namespace sluice::config {
namespace {

constexpr size_t kMaxQuoted = 60;

// The first segment of `path` (`name`, `[0]` or `["key"]`), which is removed from it with the dot
// that follows.
std::string_view NextSegment(std::string_view* path) {
  size_t end = 0;
  if (path->front() == '[') {
    bool quoted = false;
    for (end = 1; end < path->size(); ++end) {
      const char c = (*path)[end];
      if (c == '"') quoted = !quoted;
      if (c == '\\') ++end;
      if (c == ']' && !quoted) break;
    }
    end = std::min(end + 1, path->size());
  } else {
    end = std::min(path->find_first_of(".["), path->size());
  }
  const std::string_view segment = path->substr(0, end);
  path->remove_prefix(end);
  if (!path->empty() && path->front() == '.') path->remove_prefix(1);
  return segment;
}

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

SourceMap::SourceMap() : positions_(1) {}

int SourceMap::AddFile(std::string_view name) {
  files_.emplace_back(name);
  return static_cast<int>(files_.size()) - 1;
}

void SourceMap::Set(std::string_view path, Position position) {
  uint32_t node = 0;
  while (!path.empty()) {
    const auto [it, added] =
        children_.try_emplace(Key(node, NextSegment(&path)), positions_.size());
    if (added) positions_.emplace_back(positions_[node]);
    node = it->second;
  }
  positions_[node] = position;
}

Position SourceMap::Find(std::string_view path) const {
  uint32_t node = 0;
  while (!path.empty()) {
    const auto it = children_.find(Key(node, NextSegment(&path)));
    if (it == children_.end()) break;
    node = it->second;
  }
  return positions_[node];
}

std::string Problem::ToString() const {
  std::string out = file;
  if (line > 0) AppendTo(&out, out.empty() ? "" : ":", line, ":", column);
  for (const std::string_view part :
       {std::string_view(path), std::string_view(severity == Severity::kWarning ? "warning" : ""),
        std::string_view(message)}) {
    if (!part.empty()) AppendTo(&out, out.empty() ? "" : ": ", part);
  }
  return out;
}

void Diagnostics::Add(Problem::Severity severity, Position position, std::string_view path,
                      std::string_view message, std::string_view suggestion) {
  size_t& count = severity == Problem::Severity::kError ? errors_ : warnings_;
  if (++count > kMaxProblems) return;
  Problem problem{.severity = severity,
                  .file = {},
                  .line = position.line,
                  .column = position.column,
                  .path = std::string(path),
                  .message = std::string(message)};
  if (position.line > 0) problem.file = source_.FileName(position.file);
  if (!suggestion.empty()) AppendTo(&problem.message, " (did you mean '", suggestion, "'?)");
  problems_.push_back(std::move(problem));
}

void Diagnostics::Error(std::string_view path, std::string_view message,
                        std::string_view suggestion) {
  Add(Problem::Severity::kError, source_.Find(path), path, message, suggestion);
}
void Diagnostics::Warning(std::string_view path, std::string_view message,
                          std::string_view suggestion) {
  Add(Problem::Severity::kWarning, source_.Find(path), path, message, suggestion);
}
void Diagnostics::ErrorAt(Position position, std::string_view path, std::string_view message,
                          std::string_view suggestion) {
  Add(Problem::Severity::kError, position, path, message, suggestion);
}
void Diagnostics::WarningAt(Position position, std::string_view path, std::string_view message,
                            std::string_view suggestion) {
  Add(Problem::Severity::kWarning, position, path, message, suggestion);
}

std::string Diagnostics::ToString() const {
  std::vector<const Problem*> sorted;
  for (const Problem& problem : problems_) sorted.push_back(&problem);
  std::stable_sort(sorted.begin(), sorted.end(), [](const Problem* a, const Problem* b) {
    return std::tie(a->file, a->line, a->column) < std::tie(b->file, b->line, b->column);
  });
  std::string out;
  for (const Problem* problem : sorted) AppendTo(&out, problem->ToString(), "\n");
  const size_t total = errors_ + warnings_;
  if (total > problems_.size()) AppendTo(&out, "and ", total - problems_.size(), " more\n");
  return out;
}

std::string ChildPath(std::string_view path, std::string_view field) {
  return path.empty() ? std::string(field) : Cat(path, ".", field);
}

std::string ElementPath(std::string_view path, size_t index) {
  return Cat(path, "[", index, "]");
}

std::string EntryPath(std::string_view path, std::string_view key) {
  std::string out = Cat(path, "[\"");
  for (const char c : key) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"]";
}

std::string_view Nearest(std::string_view word, const std::vector<std::string_view>& candidates) {
  std::string_view best;
  size_t best_distance = word.size() / 3 + 1;  // one edit in a short word, more in a long one
  for (const std::string_view candidate : candidates) {
    const size_t gap = candidate.size() > word.size() ? candidate.size() - word.size()
                                                      : word.size() - candidate.size();
    // A word that only lacks its end (`port` for `port_value`) is near, however much it lacks.
    const bool begins = word.size() >= 3 && candidate.size() > word.size() &&
                        candidate.substr(0, word.size()) == word && candidate[word.size()] == '_';
    if (gap > best_distance && !begins) continue;
    const size_t distance = begins ? 1 : EditDistance(word, candidate);
    if (distance < best_distance ||
        (best.empty() && distance <= best_distance && distance < word.size())) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

std::string Quoted(std::string_view value) {
  static constexpr char kHex[] = "0123456789abcdef";
  const bool cut = value.size() > kMaxQuoted;
  if (cut) {
    value = value.substr(0, kMaxQuoted);
    // Not in the middle of a UTF-8 sequence.
    while (!value.empty() && (value.back() & 0xC0) == 0x80) value.remove_suffix(1);
    if (!value.empty() && (value.back() & 0x80)) value.remove_suffix(1);
  }
  std::string out = "'";
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) {
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  return out + (cut ? "...'" : "'");
}

std::string NotRegistered(std::string_view name, std::string_view type_url) {
  return Cat("Didn't find a registered implementation for '", name, "' with type URL: '", type_url,
             "'");
}

}  // namespace sluice::config
