// /logging and /reopen_logs: the process's own log. Main thread.
#include <algorithm>

#include "source/base/log.h"
#include "source/base/strings.h"
#include "source/server/admin/page.h"

namespace sluice::admin {
namespace {

constexpr std::string_view kUsage =
    "usage: /logging?NAME=LEVEL (one component)\n"
    "usage: /logging?paths=NAME:LEVEL,... (several components)\n"
    "usage: /logging?level=LEVEL (all components)\n"
    "usage: /logging (the levels as they are)\n"
    "levels: trace debug info warning error critical off\n";

// Envoy's words: scripts look for them.
constexpr std::string_view kUnknownName = "unknown logger name";
constexpr std::string_view kUnknownLevel = "unknown logger level";

// What is wrong with a list of names and levels that was refused.
std::string_view WhyNot(std::string_view list) {
  while (!list.empty()) {
    const std::string_view entry = list.substr(0, list.find(','));
    list.remove_prefix(std::min(entry.size() + 1, list.size()));
    const size_t colon = std::min(entry.find(':'), entry.size());
    if (colon == 0 || colon + 1 >= entry.size()) return "empty logger name or empty logger level";
    if (!ParseLogLevel(entry.substr(colon + 1))) return kUnknownLevel;
  }
  return kUnknownName;
}

// Why nothing was changed; empty: it was.
std::string_view Change(std::string_view name, std::string_view value) {
  if (name == "paths") return SetLogLevels(value).ok() ? std::string_view() : WhyNot(value);
  const std::optional<LogLevel> level = ParseLogLevel(value);
  if (!level) return kUnknownLevel;
  if (name != "level") return SetLogLevel(name, *level) ? std::string_view() : kUnknownName;
  SetLogLevel(*level);
  return {};
}

}  // namespace

AdminReply LoggingPage(const AdminRequest& request, const AdminContext&) {
  if (request.query.size() > 1)
    return {400, Cat("error: invalid number of parameters\n\n", kUsage)};
  for (const auto& [name, value] : request.query) {
    if (value.empty()) continue;  // Envoy's own page asks like this.
    const std::string_view error = Change(name, value);
    if (!error.empty()) return {400, Cat("error: ", error, "\n\n", kUsage)};
  }
  std::string text = "active loggers:\n";
  for (const auto& [name, level] : LogLevels())
    AppendTo(&text, "  ", name, ": ", ToString(level), "\n");
  return {200, std::move(text)};
}

AdminReply ReopenLogsPage(const AdminRequest&, const AdminContext& context) {
  const absl::Status reopened = context.reopen_logs();
  if (!reopened.ok()) return {500, Cat(Std(reopened.message()), "\n")};
  return {200, "OK\n"};
}

}  // namespace sluice::admin
