// The process log: settings, levels, files. Changes the log of this process, hence one test case at
// a time.
#include "source/base/log.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <thread>

#include <catch2/catch.hpp>

namespace sluice {
namespace {

class LogDirectory {
 public:
  LogDirectory() {
    const char* parent = getenv("TEST_TMPDIR");
    name_ = Cat(parent != nullptr ? parent : "/tmp", "/log_test_XXXXXX");
    REQUIRE(mkdtemp(name_.data()) != nullptr);
  }
  ~LogDirectory() {
    REQUIRE(ConfigureLog({}).ok());  // back to standard error
    for (const char* file : {"a.log", "b.log", "fifo"}) unlink(Path(file).c_str());
    rmdir(name_.c_str());
  }

  std::string Path(std::string_view file) const { return Cat(name_, "/", file); }

 private:
  std::string name_;
};

std::string Content(const std::string& path) {
  std::ifstream file(path);
  std::stringstream content;
  content << file.rdbuf();
  return content.str();
}

LogSettings To(const std::string& path) {
  LogSettings settings;
  settings.path = path;
  settings.format = "%l %n %v";
  return settings;
}

TEST_CASE("Levels decide what is written, by component") {
  const LogDirectory directory;
  LogSettings settings = To(directory.Path("a.log"));
  settings.level = "warning";
  settings.component_levels = "dns:trace,http:off";
  REQUIRE(ConfigureLog(settings).ok());

  int evaluated = 0;
  SLUICE_LOG(kInfo, kMain, "no ", ++evaluated);
  SLUICE_LOG(kWarning, kMain, "yes ", 1);
  SLUICE_LOG(kTrace, kDns, "yes ", std::string("two"));
  SLUICE_LOG(kCritical, kHttp, "no");
  CHECK(evaluated == 0);
  CHECK(Content(settings.path) == "warning main yes 1\ntrace dns yes two\n");

  SetLogLevel(LogLevel::kError);
  CHECK_FALSE(LogsAt(LogComponent::kDns, LogLevel::kWarning));
  CHECK(LogsAt(LogComponent::kHttp, LogLevel::kError));
  CHECK(SetLogLevel("http", LogLevel::kDebug));
  CHECK_FALSE(SetLogLevel("nothing", LogLevel::kDebug));
  CHECK(LogsAt(LogComponent::kHttp, LogLevel::kDebug));
  const auto levels = LogLevels();
  CHECK(std::is_sorted(levels.begin(), levels.end()));
  CHECK(std::count(levels.begin(), levels.end(),
                   std::pair<std::string_view, LogLevel>("http", LogLevel::kDebug)) == 1);
}

TEST_CASE("Command lines written for Envoy are understood") {
  const LogDirectory directory;
  LogSettings settings = To(directory.Path("a.log"));
  settings.component_levels = "hc:debug,conn_handler:trace,http2:off,upstream:debug";
  REQUIRE(ConfigureLog(settings).ok());
  CHECK(LogsAt(LogComponent::kHc, LogLevel::kDebug));
  CHECK(LogsAt(LogComponent::kUpstream, LogLevel::kDebug));
  CHECK_FALSE(LogsAt(LogComponent::kHttp, LogLevel::kDebug));
  for (const std::string_view name : {"assert", "ip_tagging", "wasm", "health_checker"})
    CHECK(SetLogLevel(name, LogLevel::kInfo));
}

TEST_CASE("A list of levels applies whole or not at all") {
  const LogDirectory directory;
  REQUIRE(ConfigureLog({}).ok());
  CHECK(SetLogLevels("http:debug,dns:error").ok());
  CHECK(LogsAt(LogComponent::kHttp, LogLevel::kDebug));
  CHECK_FALSE(LogsAt(LogComponent::kDns, LogLevel::kWarning));
  for (const std::string_view bad : {"http:trace,nothing:info", "http:trace,dns:loud",
                                     "http:trace,dns", "http:trace,,dns:info"}) {
    INFO(bad);
    CHECK_FALSE(SetLogLevels(bad).ok());
    CHECK_FALSE(LogsAt(LogComponent::kHttp, LogLevel::kTrace));
  }
}

TEST_CASE("Wrong settings name their flag and change nothing") {
  const LogDirectory directory;
  REQUIRE(ConfigureLog(To(directory.Path("a.log"))).ok());
  struct Row {
    LogSettings settings;
    std::string_view flag;
  };
  LogSettings level, component, format, path;
  level.level = "loud";
  component.component_levels = "nothing:info";
  format.format = "%q";
  path.path = directory.Path("no/such/directory.log");
  for (const Row& row : {Row{level, "--log-level"}, Row{component, "--component-log-level"},
                         Row{format, "--log-format"}, Row{path, "--log-path"}}) {
    const absl::Status status = ConfigureLog(row.settings);
    CHECK_FALSE(status.ok());
    CHECK(Std(status.message()).starts_with(row.flag));
  }
  SLUICE_LOG(kInfo, kMain, "still here");
  CHECK(Content(directory.Path("a.log")) == "info main still here\n");
}

TEST_CASE("Reopening follows a rename; a failure keeps the old file") {
  const LogDirectory directory;
  REQUIRE(ConfigureLog(To(directory.Path("a.log"))).ok());
  SLUICE_LOG(kInfo, kMain, "1");
  REQUIRE(rename(directory.Path("a.log").c_str(), directory.Path("b.log").c_str()) == 0);
  SLUICE_LOG(kInfo, kMain, "2");
  REQUIRE(ReopenLog().ok());
  SLUICE_LOG(kInfo, kMain, "3");
  CHECK(Content(directory.Path("b.log")) == "info main 1\ninfo main 2\n");
  CHECK(Content(directory.Path("a.log")) == "info main 3\n");

  REQUIRE(unlink(directory.Path("a.log").c_str()) == 0);
  REQUIRE(mkdir(directory.Path("a.log").c_str(), 0700) == 0);
  CHECK_FALSE(ReopenLog().ok());
  rmdir(directory.Path("a.log").c_str());
}

TEST_CASE("A FIFO that nobody reads neither blocks the start nor a writer") {
  const LogDirectory directory;
  REQUIRE(mkfifo(directory.Path("fifo").c_str(), 0600) == 0);
  CHECK_FALSE(ConfigureLog(To(directory.Path("fifo"))).ok());
}

TEST_CASE("Lines of several threads stay whole") {
  const LogDirectory directory;
  REQUIRE(ConfigureLog(To(directory.Path("a.log"))).ok());
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      for (int line = 0; line < 250; ++line) SLUICE_LOG(kInfo, kMain, std::string(100, 'x'));
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::ifstream file(directory.Path("a.log"));
  std::string line;
  int lines = 0;
  while (std::getline(file, line)) {
    CHECK(line == "info main " + std::string(100, 'x'));
    ++lines;
  }
  CHECK(lines == 1000);
}

}  // namespace
}  // namespace sluice
