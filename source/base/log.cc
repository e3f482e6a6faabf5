// The process's own log. Any thread writes; one mutex keeps lines whole and covers the file and the
// pattern.
#include "source/base/log.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <mutex>

#include "source/base/log_pattern.h"

namespace sluice {
namespace log_internal {

constinit std::array<std::atomic<LogLevel>, static_cast<size_t>(LogComponent::kCount)> levels = [] {
  // Written out by the preprocessor, since an atomic cannot be copied into place.
  return std::array<std::atomic<LogLevel>, static_cast<size_t>(LogComponent::kCount)>{
#define SLUICE_LOG_DEFAULT(id, name) LogLevel::kInfo,
      SLUICE_LOG_COMPONENTS(SLUICE_LOG_DEFAULT)
#undef SLUICE_LOG_DEFAULT
  };
}();

}  // namespace log_internal

namespace {

constexpr size_t kComponents = static_cast<size_t>(LogComponent::kCount);
constexpr std::string_view kComponentNames[] = {
#define SLUICE_LOG_NAME(id, name) name,
    SLUICE_LOG_COMPONENTS(SLUICE_LOG_NAME)
#undef SLUICE_LOG_NAME
};
constexpr std::string_view kLevelNames[] = {"trace", "debug",    "info", "warning",
                                            "error", "critical", "off"};

// Where lines go. Never destroyed: threads may log until the process is gone.
struct Sink {
  std::mutex mutex;
  int fd = STDERR_FILENO;
  std::string path;
  LogPattern pattern = *LogPattern::Parse(LogSettings().format, false);
  uint64_t lost = 0;  // lines that the file did not take
};

Sink& TheSink() {
  static Sink* const sink = new Sink;
  return *sink;
}

absl::StatusOr<int> OpenLog(const std::string& path) {
  if (path.empty()) return STDERR_FILENO;
  // Opened through /dev they would fail where they are sockets, as under systemd. A FIFO or a
  // device must not block a worker.
  int fd = -1;
  if (path == "/dev/stderr" || path == "/dev/stdout") {
    fd = fcntl(path == "/dev/stderr" ? STDERR_FILENO : STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
  } else {
    fd =
        open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644);
  }
  if (fd < 0) return Invalid("--log-path: cannot open '", path, "': ", strerror(errno));
  return fd;
}

void Use(Sink& sink, int fd) {
  if (sink.fd != STDERR_FILENO) close(sink.fd);
  sink.fd = fd;
}

bool WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

std::optional<size_t> FindComponent(std::string_view name) {
  for (size_t i = 0; i < kComponents; ++i) {
    if (kComponentNames[i] == name) return i;
  }
  return std::nullopt;
}

std::string AllComponents() {
  std::string names;
  for (const std::string_view name : kComponentNames)
    AppendTo(&names, names.empty() ? "" : ", ", name);
  return names;
}

using Levels = std::array<LogLevel, kComponents>;

absl::Status ParseLevels(std::string_view list, Levels* levels) {
  while (!list.empty()) {
    const std::string_view entry = list.substr(0, list.find(','));
    list.remove_prefix(std::min(entry.size() + 1, list.size()));
    const size_t colon = entry.find(':');
    if (colon == entry.npos) return Invalid("'", entry, "' is not of the form component:level");
    const std::optional<size_t> component = FindComponent(entry.substr(0, colon));
    if (!component)
      return Invalid("unknown component '", entry.substr(0, colon), "'; there are ",
                     AllComponents());
    const std::optional<LogLevel> level = ParseLogLevel(entry.substr(colon + 1));
    if (!level) return Invalid("unknown level '", entry.substr(colon + 1), "'");
    (*levels)[*component] = *level;
  }
  return absl::OkStatus();
}

void Apply(const Levels& levels) {
  for (size_t i = 0; i < kComponents; ++i)
    log_internal::levels[i].store(levels[i], std::memory_order_relaxed);
}

}  // namespace

std::string_view ToString(LogLevel level) {
  return kLevelNames[static_cast<size_t>(level)];
}

std::string_view ToString(LogComponent component) {
  return kComponentNames[static_cast<size_t>(component)];
}

std::optional<LogLevel> ParseLogLevel(std::string_view name) {
  if (name == "warn") return LogLevel::kWarning;
  for (size_t i = 0; i < std::size(kLevelNames); ++i) {
    if (kLevelNames[i] == name) return static_cast<LogLevel>(i);
  }
  return std::nullopt;
}

absl::Status ConfigureLog(const LogSettings& settings) {
  const std::optional<LogLevel> level = ParseLogLevel(settings.level);
  if (!level) return Invalid("--log-level: unknown level '", settings.level, "'");
  Levels levels;
  levels.fill(*level);
  if (const absl::Status parsed = ParseLevels(settings.component_levels, &levels); !parsed.ok()) {
    return Invalid("--component-log-level: ", Std(parsed.message()));
  }
  auto pattern = LogPattern::Parse(settings.format, settings.escape);
  if (!pattern.ok()) return Invalid("--log-format: ", Std(pattern.status().message()));
  const auto fd = OpenLog(settings.path);
  if (!fd.ok()) return fd.status();

  Sink& sink = TheSink();
  std::lock_guard lock(sink.mutex);
  Use(sink, *fd);
  sink.path = settings.path;
  sink.pattern = *std::move(pattern);
  Apply(levels);
  return absl::OkStatus();
}

absl::Status ReopenLog() {
  Sink& sink = TheSink();
  std::lock_guard lock(sink.mutex);
  const auto fd = OpenLog(sink.path);
  if (!fd.ok()) return fd.status();
  Use(sink, *fd);
  return absl::OkStatus();
}

std::vector<std::pair<std::string_view, LogLevel>> LogLevels() {
  std::vector<std::pair<std::string_view, LogLevel>> result;
  for (size_t i = 0; i < kComponents; ++i) {
    result.emplace_back(kComponentNames[i],
                        log_internal::levels[i].load(std::memory_order_relaxed));
  }
  return result;
}

void SetLogLevel(LogLevel level) {
  Levels levels;
  levels.fill(level);
  Apply(levels);
}

bool SetLogLevel(std::string_view component, LogLevel level) {
  const std::optional<size_t> index = FindComponent(component);
  if (index) log_internal::levels[*index].store(level, std::memory_order_relaxed);
  return index.has_value();
}

absl::Status SetLogLevels(std::string_view list) {
  Levels levels;
  for (size_t i = 0; i < kComponents; ++i)
    levels[i] = log_internal::levels[i].load(std::memory_order_relaxed);
  const absl::Status parsed = ParseLevels(list, &levels);
  if (parsed.ok()) Apply(levels);
  return parsed;
}

void WriteLog(LogComponent component, LogLevel level, const char* file, int line,
              std::string_view text) {
  static thread_local const long thread = syscall(SYS_gettid);
  const LogRecord record{WallNow(), level, ToString(component), file, line, thread, text};
  Sink& sink = TheSink();
  std::lock_guard lock(sink.mutex);
  std::string out;
  if (sink.lost > 0) {
    const std::string lost = Cat(sink.lost, " lines before this one could not be written");
    sink.pattern.Append({record.time, LogLevel::kWarning, "misc", __FILE__, __LINE__, thread, lost},
                        &out);
    out.push_back('\n');
  }
  sink.pattern.Append(record, &out);
  out.push_back('\n');
  sink.lost = WriteAll(sink.fd, out) ? 0 : sink.lost + 1;
}

}  // namespace sluice
