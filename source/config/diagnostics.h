// What is wrong with a configuration, and where: problems found by path and shown with the line and
// column of the source. Owned by the thread that loads; not shared.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "source/base/strings.h"

namespace sluice::config {

/// A place in a source text. Lines and columns count from 1, columns in characters; line 0: not
/// known.
struct Position {
  int line = 0;
  int column = 0;
  /// Index of the source (a file, or the text of --config-yaml) as SourceMap::AddFile() gave it.
  int file = 0;
};

/// From configuration paths (`static_resources.clusters[0].name`,
/// `typed_per_filter_config["a.b"].x`) to positions. One path may come from several sources; the
/// last one that set it wins.
class SourceMap {
 public:
  SourceMap();

  /// Registers a source by the name that problems show; the result goes into Position::file.
  int AddFile(std::string_view name);
  const std::string& FileName(int file) const { return files_[file]; }

  /// Remembers where `path` was set.
  void Set(std::string_view path, Position position);

  /// The position of the longest prefix of `path` that is known; line 0 if none is.
  Position Find(std::string_view path) const;

 private:
  using Key = std::pair<uint32_t, std::string>;  // the parent's node and one segment

  absl::flat_hash_map<Key, uint32_t> children_;
  std::vector<Position> positions_;  // by node; node 0 is the root
  std::vector<std::string> files_;
};

struct Problem {
  enum class Severity { kError, kWarning };

  Severity severity = Severity::kError;
  std::string file;
  int line = 0;
  int column = 0;
  std::string path;
  std::string message;

  /// `file:line:column: path: message`, with `warning: ` before the message of a warning; absent
  /// parts are left out.
  std::string ToString() const;
};

/// The problems of one load, and the positions by which later stages (route table, extension
/// factories) report theirs.
class Diagnostics {
 public:
  /// So many errors are kept, and as many warnings; the rest is counted.
  static constexpr size_t kMaxProblems = 200;

  /// Reports `message` for `path`. A `suggestion` that is not empty is appended as `(did you mean
  /// 'x'?)`.
  void Error(std::string_view path, std::string_view message, std::string_view suggestion = {});
  void Warning(std::string_view path, std::string_view message, std::string_view suggestion = {});
  /// The same for a place that no path leads to, such as an error of syntax.
  void ErrorAt(Position position, std::string_view path, std::string_view message,
               std::string_view suggestion = {});
  void WarningAt(Position position, std::string_view path, std::string_view message,
                 std::string_view suggestion = {});

  /// No error so far (warnings do not count).
  bool ok() const { return errors_ == 0; }
  size_t errors() const { return errors_; }
  size_t warnings() const { return warnings_; }
  /// Marks the value at `path` as one that could not be read, after its error was reported: it
  /// breaks no rule besides.
  void MarkUnread(std::string_view path) { unread_.insert(std::string(path)); }
  bool IsUnread(std::string_view path) const { return unread_.contains(path); }
  /// True once no further error would be kept: a suggestion is not worth computing.
  bool full() const { return errors_ >= kMaxProblems; }

  /// In the order of report.
  const std::vector<Problem>& problems() const { return problems_; }
  /// One problem a line, sorted by place, with a last line that counts those left out.
  std::string ToString() const;

  /// Marks the optional extension at `path` (that of the message with `is_optional`) as
  /// unavailable: whoever builds the chain leaves it out. Its `typed_config` keeps the type URL and
  /// nothing else.
  void LeaveOut(std::string_view path) { left_out_.insert(std::string(path)); }
  bool IsLeftOut(std::string_view path) const { return left_out_.contains(path); }

  SourceMap& source() { return source_; }
  const SourceMap& source() const { return source_; }

 private:
  void Add(Problem::Severity severity, Position position, std::string_view path,
           std::string_view message, std::string_view suggestion);

  SourceMap source_;
  std::vector<Problem> problems_;
  StringSet left_out_;
  StringSet unread_;
  size_t errors_ = 0;
  size_t warnings_ = 0;
};

/// The path of `field` inside `path`: `path.field`, or `field` at the root.
std::string ChildPath(std::string_view path, std::string_view field);
/// `path[index]`.
std::string ElementPath(std::string_view path, size_t index);
/// `path["key"]`.
std::string EntryPath(std::string_view path, std::string_view key);

/// The candidate that a person most likely meant by `word`: the nearest by edits, if it is near
/// enough; else empty. The view is into `candidates`.
std::string_view Nearest(std::string_view word, const std::vector<std::string_view>& candidates);

/// `value` in single quotes, shortened to 60 bytes, control bytes escaped: for messages.
std::string Quoted(std::string_view value);

/// That nothing goes by this name and this type here, in Envoy's words, for which scripts look.
std::string NotRegistered(std::string_view name, std::string_view type_url);

}  // namespace sluice::config
