// The process's log files and the ordinary access log. Any thread; files are opened on the main
// thread.
#include "source/observe/access_log/access_log.h"

#include "source/observe/access_log/access_log_writer.h"

namespace sluice {
namespace {

constexpr Duration kStopTimeout = std::chrono::seconds(2);

}  // namespace

AccessLogStats::AccessLogStats(const stats::Scope& root) {
  const stats::Scope scope = root.Sub("filesystem");
  write_completed = scope.counter("write_completed");
  write_failed = scope.counter("write_failed");
  flushed_by_timer = scope.counter("flushed_by_timer");
  reopen_failed = scope.counter("reopen_failed");
  write_buffered = scope.counter("write_buffered");
  write_total_buffered = scope.gauge("write_total_buffered");
  entries_dropped = scope.counter("entries_dropped");
}

AccessLogFile::AccessLogFile(std::shared_ptr<Writer> writer) : writer_(std::move(writer)) {}

AccessLogFile::~AccessLogFile() {
  writer_->Stop(Now() + kStopTimeout);
}

void AccessLogFile::Write(std::string_view line) {
  writer_->Write(line);
}

AccessLogManager::AccessLogManager(const stats::Scope& scope, AccessLogOptions options)
    : options_(options), stats_(scope) {}

AccessLogManager::~AccessLogManager() {
  for (const auto& [path, file] : files_) {
    file->writer_->Stop(Now() + kStopTimeout);  // now, even if somebody still holds the file
  }
}

absl::StatusOr<std::shared_ptr<AccessLogFile>> AccessLogManager::Open(std::string_view path) {
  const int stream = LogDescriptor::StandardStream(path);
  const std::string name(stream == 1 ? "/dev/stdout" : stream == 2 ? "/dev/stderr" : path);
  std::lock_guard lock(mutex_);
  if (const auto found = files_.find(name); found != files_.end()) {
    return found->second;
  }
  auto writer = std::make_shared<AccessLogFile::Writer>(name, options_, stats_);
  if (const absl::Status status = writer->Open(); !status.ok()) {
    return status;
  }
  writer->Start();
  return files_.emplace(name, std::make_shared<AccessLogFile>(std::move(writer))).first->second;
}

void AccessLogManager::Reopen() {
  std::lock_guard lock(mutex_);
  for (const auto& [path, file] : files_) {
    file->writer_->Reopen();
  }
}

bool AccessLogManager::Flush(Duration timeout) {
  const TimePoint deadline = Now() + timeout;
  std::lock_guard lock(mutex_);
  std::vector<std::pair<AccessLogFile*, uint64_t>> tickets;
  for (const auto& [path, file] : files_) {
    tickets.emplace_back(file.get(), file->writer_->RequestFlush());
  }
  bool done = true;
  for (const auto& [file, ticket] : tickets) {
    done = file->writer_->Await(ticket, deadline) && done;
  }
  return done;
}

void FileAccessLogger::Log(const LogContext& context) const {
  thread_local std::string line;
  line.clear();
  formatter_.Format(context, &line);
  if (formatter_.is_json()) {
    line.push_back('\n');
  }
  file_->Write(line);
}

}  // namespace sluice
