// Access logs: what is written about every exchange, and the files it goes to. Logging is a copy
// into a buffer of the calling thread; every file has a thread of its own that writes, so that a
// stalled or full file never stalls traffic or start.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "source/base/clock.h"
#include "source/base/metric.h"
#include "source/http/exchange.h"
#include "source/observe/format/formatter.h"
#include "source/observe/stats/stats.h"

namespace sluice {

/// Something that is told of every exchange when it ends (or begins, or while it lasts), and of
/// connections. Immutable; called on the workers.
class AccessLogger {
 public:
  virtual ~AccessLogger() = default;
  /// Writes one line about the exchange. Its worker; does not wait.
  virtual void Log(const LogContext& context) const = 0;
};

/// Decides whether an exchange is logged. Immutable; called on the workers.
class AccessLogFilter {
 public:
  virtual ~AccessLogFilter() = default;
  /// Whether the exchange is to be logged. Its worker.
  virtual bool Matches(const LogContext& context) const = 0;
};
using AccessLogFilterPtr = std::unique_ptr<const AccessLogFilter>;

struct AccessLogOptions {
  Duration flush_interval = std::chrono::seconds(10);  // --file-flush-interval-msec
  size_t flush_size = 64 * 1024;  // a thread's buffer is handed over when it is longer
  size_t max_queued =
      16 * 1024 * 1024;  // per file, beside one buffer per thread; what is more is dropped
  Duration retry_interval = std::chrono::seconds(1);  // after a failed write or open
};

/// The counters of all log files together, under `filesystem.`.
struct AccessLogStats {
  explicit AccessLogStats(const stats::Scope& scope);

  Counter write_completed;     // writes to a file
  Counter write_failed;        // attempts that failed, to be repeated
  Counter flushed_by_timer;    // flushes because of the interval
  Counter reopen_failed;       // the old file stays in use
  Counter write_buffered;      // lines accepted
  Gauge write_total_buffered;  // bytes accepted and not yet written
  Counter entries_dropped;     // lines lost because a file does not keep up (ours)
};

/// One file (or stdout, stderr) of the process. Any thread.
class AccessLogFile {
 public:
  class Writer;  // what the file and its thread share

  explicit AccessLogFile(std::shared_ptr<Writer> writer);
  ~AccessLogFile();

  /// Appends `line`, which brings its own newline. Never waits for the file: when too much is
  /// queued the line is dropped and counted.
  void Write(std::string_view line);

 private:
  friend class AccessLogManager;
  std::shared_ptr<Writer> writer_;
};

/// All log files, one per path. Open and Flush on the main thread; Reopen on any.
class AccessLogManager {
 public:
  /// `scope` is where `filesystem.` belongs: the store's root. The store must outlive the manager.
  explicit AccessLogManager(const stats::Scope& scope, AccessLogOptions options = {});
  /// Writes what is queued, for at most two seconds per stalled file.
  ~AccessLogManager();

  /// The file at `path`, shared by all who name it. An error is one that a person must repair (no
  /// such directory, no permission, a directory); what may pass (a FIFO without a reader, a full or
  /// read-only disk) is retried in the background. /dev/stdout and /dev/stderr are the process's
  /// own streams.
  absl::StatusOr<std::shared_ptr<AccessLogFile>> Open(std::string_view path);

  /// Opens every file again under its path: after logrotate has moved it (SIGUSR1, POST
  /// /reopen_logs).
  void Reopen();

  /// Writes all that was logged before and waits for it, at most `timeout`. False if a file does
  /// not take it.
  bool Flush(Duration timeout);

 private:
  const AccessLogOptions options_;
  const AccessLogStats stats_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<AccessLogFile>, std::less<>> files_;
};

/// A filter, a format and a file: the ordinary access log.
class FileAccessLogger final : public AccessLogger {
 public:
  FileAccessLogger(Formatter formatter, std::shared_ptr<AccessLogFile> file)
      : formatter_(std::move(formatter)), file_(std::move(file)) {}
  void Log(const LogContext& context) const override;

 private:
  const Formatter formatter_;
  const std::shared_ptr<AccessLogFile> file_;
};

/// Passes on what the filter lets through.
class FilteredAccessLogger final : public AccessLogger {
 public:
  FilteredAccessLogger(AccessLogFilterPtr filter, std::shared_ptr<const AccessLogger> logger)
      : filter_(std::move(filter)), logger_(std::move(logger)) {}
  void Log(const LogContext& context) const override {
    if (filter_->Matches(context)) {
      logger_->Log(context);
    }
  }

 private:
  const AccessLogFilterPtr filter_;
  const std::shared_ptr<const AccessLogger> logger_;
};

}  // namespace sluice
