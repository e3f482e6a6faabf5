// Tests of the log files: order, sharing, rotation, and what happens when nobody takes the lines.
#include "source/observe/access_log/access_log.h"

#include <fcntl.h>
#include <google/protobuf/struct.pb.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <sstream>
#include <thread>

#include "source/base/strings.h"
#include "source/http/testing/exchange.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;

class Directory {
 public:
  Directory() {
    const char* base = std::getenv("TEST_TMPDIR");
    std::string pattern = Cat(base == nullptr ? "/tmp" : base, "/logXXXXXX");
    path_ = mkdtemp(pattern.data());
  }
  ~Directory() { (void)std::system(Cat("rm -rf ", path_).c_str()); }
  std::string operator/(std::string_view name) const { return Cat(path_, "/", name); }

 private:
  std::string path_;
};

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// Waits for a condition, at most ten seconds.
bool Eventually(const std::function<bool()>& condition) {
  const TimePoint deadline = Now() + 10s;
  while (!condition()) {
    if (Now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

AccessLogOptions Small() {
  AccessLogOptions options;
  options.flush_interval = 1h;  // nothing happens by itself
  options.flush_size = 1024;
  options.max_queued = 8192;
  options.retry_interval = 1ms;
  return options;
}

struct Fixture {
  explicit Fixture(AccessLogOptions options = Small()) : manager(store.Root(), options) {}
  int64_t Stat(std::string_view name) { return store.Value(Cat("filesystem.", name)); }

  Directory directory;
  stats::Store store;
  AccessLogManager manager;
};

TEST_CASE("lines reach the file in the order of their thread") {
  Fixture f;
  const std::string path = f.directory / "a.log";
  auto file = f.manager.Open(path);
  REQUIRE(file.ok());
  CHECK(*f.manager.Open(path) == *file);
  constexpr int kThreads = 4;
  constexpr int kLines = 500;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kLines; ++i) {
        (*file)->Write(Cat(t, " ", i, "\n"));
        if (i % 50 == 0) (void)f.manager.Flush(10s);  // the queue of this test is small
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE(f.manager.Flush(10s));
  std::istringstream text(ReadFile(path));
  int next[kThreads] = {};
  int thread, line, count = 0;
  while (text >> thread >> line) {
    REQUIRE(line == next[thread]++);
    ++count;
  }
  CHECK(count == kThreads * kLines);
  CHECK(f.Stat("write_buffered") == kThreads * kLines);
  CHECK(f.Stat("write_total_buffered") == 0);
  CHECK(f.Stat("entries_dropped") == 0);
  CHECK(f.Stat("write_completed") > 0);
  CHECK(f.Stat("flushed_by_timer") == 0);
}

TEST_CASE("a long buffer is written without a flush, a short one by the timer or at the end") {
  AccessLogOptions options = Small();
  SECTION("long") {
    Fixture f(options);
    auto file = *f.manager.Open(f.directory / "a");
    file->Write(std::string(2000, 'x') + "\n");
    CHECK(Eventually([&] { return ReadFile(f.directory / "a").size() == 2001; }));
  }
  SECTION("timer") {
    options.flush_interval = 1ms;
    Fixture f(options);
    auto file = *f.manager.Open(f.directory / "a");
    file->Write("line\n");
    CHECK(Eventually([&] { return ReadFile(f.directory / "a") == "line\n"; }));
    CHECK(Eventually([&] { return f.Stat("flushed_by_timer") > 0; }));
  }
  SECTION("end") {
    Directory directory;
    stats::Store store;
    std::shared_ptr<AccessLogFile> file;
    {
      AccessLogManager manager(store.Root(), options);
      file = *manager.Open(directory / "a");
      file->Write("line\n");
    }
    CHECK(ReadFile(directory / "a") == "line\n");
    file->Write("too late\n");
    CHECK(store.Value("filesystem.entries_dropped") == 1);
    CHECK(ReadFile(directory / "a") == "line\n");
  }
}

TEST_CASE("a file that was moved is opened again") {
  Fixture f;
  const std::string path = f.directory / "a";
  auto file = *f.manager.Open(path);
  file->Write("one\n");
  REQUIRE(rename(path.c_str(), (path + ".1").c_str()) == 0);
  f.manager.Reopen();
  REQUIRE(f.manager.Flush(10s));
  file->Write("two\n");
  REQUIRE(f.manager.Flush(10s));
  CHECK(ReadFile(path + ".1") == "one\n");  // what was logged before goes to the old file
  CHECK(ReadFile(path) == "two\n");
  CHECK(f.Stat("reopen_failed") == 0);
}

TEST_CASE("when reopening fails the old file stays in use") {
  Fixture f;
  const std::string path = f.directory / "a";
  auto file = *f.manager.Open(path);
  REQUIRE(rename(path.c_str(), (path + ".1").c_str()) == 0);
  REQUIRE(mkdir(path.c_str(), 0755) == 0);
  f.manager.Reopen();
  file->Write("one\n");
  REQUIRE(f.manager.Flush(10s));
  CHECK(f.Stat("reopen_failed") == 1);
  CHECK(ReadFile(path + ".1") == "one\n");
}

TEST_CASE("what a person must repair is an error, with the path") {
  Fixture f;
  CHECK(f.manager.Open(f.directory / "no/such/dir").status().message() ==
        Cat("cannot open the log file '", f.directory / "no/such/dir",
            "': No such file or directory"));
  CHECK_FALSE(f.manager.Open("/").ok());
}

TEST_CASE("a FIFO without a reader stalls nobody, and a reader that comes gets whole lines") {
  Fixture f;
  const std::string path = f.directory / "fifo";
  REQUIRE(mkfifo(path.c_str(), 0600) == 0);
  auto file = f.manager.Open(path);
  REQUIRE(file.ok());
  const std::string line = std::string(99, 'x') + "\n";
  for (int i = 0; i < 1000; ++i) (*file)->Write(line);
  CHECK_FALSE(f.manager.Flush(20ms));
  const int64_t dropped = f.Stat("entries_dropped");
  CHECK(dropped > 800);  // 8 KiB queued and 1 KiB in this thread's buffer are kept
  CHECK(dropped < 1000);
  CHECK(f.Stat("write_failed") > 0);
  CHECK(f.Stat("write_total_buffered") <= 8192 + 1100);

  const int reader = open(path.c_str(), O_RDONLY | O_NONBLOCK);
  REQUIRE(reader >= 0);
  std::string got;
  CHECK(Eventually([&] {
    (void)f.manager.Flush(0s);
    char buffer[4096];
    const ssize_t size = read(reader, buffer, sizeof(buffer));
    if (size > 0) got.append(buffer, static_cast<size_t>(size));
    return got.size() == static_cast<size_t>(1000 - dropped) * line.size();
  }));
  CHECK(got.substr(0, line.size()) == line);
  CHECK(Eventually([&] { return f.Stat("write_total_buffered") == 0; }));

  // The reader goes away and another one comes.
  close(reader);
  (*file)->Write("lost or late\n");
  CHECK_FALSE(f.manager.Flush(20ms));
  const int second = open(path.c_str(), O_RDONLY | O_NONBLOCK);
  REQUIRE(second >= 0);
  got.clear();
  CHECK(Eventually([&] {
    char buffer[4096];
    const ssize_t size = read(second, buffer, sizeof(buffer));
    if (size > 0) got.append(buffer, static_cast<size_t>(size));
    return got == "lost or late\n";
  }));
  close(second);
}

TEST_CASE("a reader that stops reading stalls nobody, not even the end") {
  Directory directory;
  stats::Store store;
  const std::string path = directory / "fifo";
  REQUIRE(mkfifo(path.c_str(), 0600) == 0);
  const int reader = open(path.c_str(), O_RDONLY | O_NONBLOCK);
  const TimePoint start = Now();
  {
    AccessLogManager manager(store.Root(), Small());
    auto file = *manager.Open(path);
    const std::string line = std::string(999, 'x') + "\n";
    for (int i = 0; i < 2000; ++i) {
      file->Write(line);
      if (i % 8 == 0 && store.Value("filesystem.entries_dropped") == 0) (void)manager.Flush(5ms);
    }
    CHECK(store.Value("filesystem.entries_dropped") > 0);
  }
  CHECK(Now() - start < 8s);
  CHECK(store.Value("filesystem.write_total_buffered") == 0);
  close(reader);
}

TEST_CASE("a full disk drops and counts, and bounds memory") {
  Fixture f;
  auto file = f.manager.Open("/dev/full");
  REQUIRE(file.ok());
  for (int i = 0; i < 1000; ++i) (*file)->Write(std::string(99, 'x') + "\n");
  CHECK_FALSE(f.manager.Flush(20ms));
  CHECK(f.Stat("write_failed") > 0);
  CHECK(f.Stat("write_completed") == 0);
  CHECK(f.Stat("entries_dropped") > 800);
  CHECK(f.Stat("write_total_buffered") <= 8192 + 1100);
}

TEST_CASE("a logger writes its format, a filter decides") {
  Fixture f;
  testing::TestExchange exchange;
  exchange.Fill();
  auto file = *f.manager.Open(f.directory / "a");
  FileAccessLogger(*Formatter::FromText("%REQ(:METHOD)%\n"), file).Log(LogContext{exchange});
  google::protobuf::Struct json;
  (*json.mutable_fields())["m"].set_string_value("%RESPONSE_CODE%");
  auto logger = std::make_shared<FileAccessLogger>(*Formatter::FromJson(json), file);
  logger->Log(LogContext{exchange});
  struct Constant : AccessLogFilter {
    explicit Constant(bool value) : value(value) {}
    bool Matches(const LogContext&) const override { return value; }
    bool value;
  };
  FilteredAccessLogger(std::make_unique<Constant>(false), logger).Log(LogContext{exchange});
  FilteredAccessLogger(std::make_unique<Constant>(true), logger).Log(LogContext{exchange});
  REQUIRE(f.manager.Flush(10s));
  CHECK(ReadFile(f.directory / "a") == "GET\n{\"m\":200}\n{\"m\":200}\n");
}

TEST_CASE("standard output, as a pipe, is written without changing it") {
  Fixture f;
  int pipe_ends[2];
  REQUIRE(pipe(pipe_ends) == 0);
  const int saved = dup(STDOUT_FILENO);
  fflush(stdout);
  dup2(pipe_ends[1], STDOUT_FILENO);
  auto file = f.manager.Open("/dev/stdout");
  auto same = f.manager.Open("/proc/self/fd/1");
  const int flags = fcntl(pipe_ends[1], F_GETFL);
  bool flushed = false;
  if (file.ok()) {
    (*file)->Write("line\n");
    flushed = f.manager.Flush(10s);
  }
  dup2(saved, STDOUT_FILENO);
  close(saved);
  REQUIRE(file.ok());
  CHECK(*file == *same);
  CHECK(flushed);
  CHECK((flags & O_NONBLOCK) == 0);
  char buffer[16];
  CHECK(std::string(buffer, static_cast<size_t>(read(pipe_ends[0], buffer, sizeof(buffer)))) ==
        "line\n");
  close(pipe_ends[0]);
  close(pipe_ends[1]);
}

}  // namespace
}  // namespace sluice
