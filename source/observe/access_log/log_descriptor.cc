// Opening and writing of log files without ever waiting for a reader. One thread at a time.
#include "source/observe/access_log/log_descriptor.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <limits.h>
#include <cerrno>

#include "source/base/strings.h"

namespace sluice {

int LogDescriptor::StandardStream(std::string_view path) {
  for (const std::string_view name : {"/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"}) {
    if (path == name) return STDOUT_FILENO;
  }
  for (const std::string_view name : {"/dev/stderr", "/dev/fd/2", "/proc/self/fd/2"}) {
    if (path == name) return STDERR_FILENO;
  }
  return -1;
}

bool LogDescriptor::IsPermanent(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
    case EACCES:
    case EPERM:
    case EISDIR:
    case ENAMETOOLONG:
    case ELOOP:
    case EINVAL:
      return true;
    default:
      return false;
  }
}

int LogDescriptor::Open(const std::string& path) {
  if (const int stream = StandardStream(path); stream >= 0) {
    return OpenStream(stream);
  }
  const int fd =
      open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0644);
  if (fd < 0) {
    return errno;
  }
  Close();
  fd_ = fd;
  way_ = Way::kWrite;
  return 0;
}

// Setting O_NONBLOCK on a standard stream would change it for every process that shares it (a
// shell's terminal), so a pipe or terminal is opened anew. A regular file must share its offset
// with the process's other output: it is duplicated.
int LogDescriptor::OpenStream(int stream) {
  struct stat status;
  if (fstat(stream, &status) != 0) {
    return errno;
  }
  int fd = -1;
  Way way = Way::kWrite;
  if (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)) {
    fd = open(Cat("/proc/self/fd/", stream).c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    way = fd < 0 ? Way::kPolled : Way::kWrite;
  } else if (S_ISSOCK(status.st_mode)) {
    way = Way::kSend;
  }
  if (fd < 0) {
    fd = fcntl(stream, F_DUPFD_CLOEXEC, 3);
  }
  if (fd < 0) {
    return errno;
  }
  Close();
  fd_ = fd;
  way_ = way;
  return 0;
}

void LogDescriptor::Close() {
  if (fd_ >= 0) {
    close(fd_);
    fd_ = -1;
  }
}

ssize_t LogDescriptor::Write(std::string_view text) {
  switch (way_) {
    case Way::kSend:
      return send(fd_, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    case Way::kPolled: {
      // A pipe that is writable takes PIPE_BUF bytes without waiting (pipe(7)).
      pollfd ready{fd_, POLLOUT, 0};
      if (poll(&ready, 1, 0) <= 0) {
        errno = EAGAIN;
        return -1;
      }
      return write(fd_, text.data(), std::min<size_t>(text.size(), PIPE_BUF));
    }
    case Way::kWrite:
      break;
  }
  return write(fd_, text.data(), text.size());
}

void LogDescriptor::WaitWritable(int milliseconds) const {
  pollfd ready{fd_, POLLOUT, 0};
  poll(&ready, 1, milliseconds);
}

}  // namespace sluice
