// An open log file, FIFO, terminal or socket that is written without waiting. Belongs to one thread
// at a time.
#pragma once

#include <string>
#include <string_view>

#include <sys/types.h>

namespace sluice {

class LogDescriptor {
 public:
  LogDescriptor() = default;
  LogDescriptor(const LogDescriptor&) = delete;
  LogDescriptor& operator=(const LogDescriptor&) = delete;
  ~LogDescriptor() { Close(); }

  /// Opens `path` for appending, made when it is not there; replaces what was open only on success.
  /// The errno of a failure, 0 on success. A FIFO without a reader is ENXIO, never a wait.
  int Open(const std::string& path);
  void Close();
  bool is_open() const { return fd_ >= 0; }

  /// What write() says; -1 with EAGAIN when the reader is slow.
  ssize_t Write(std::string_view text);
  /// Waits until the reader takes more, at most `milliseconds`.
  void WaitWritable(int milliseconds) const;

  /// True for an open() error that a person has to repair.
  static bool IsPermanent(int error);
  /// 1 for /dev/stdout and its other names, 2 for /dev/stderr, else -1.
  static int StandardStream(std::string_view path);

 private:
  enum class Way { kWrite, kSend, kPolled };

  int OpenStream(int stream);

  int fd_ = -1;
  Way way_ = Way::kWrite;
};

}  // namespace sluice
