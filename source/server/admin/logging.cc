// /logging and /reopen_logs: the process's own log. Main thread.
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

absl::Status Change(std::string_view name, std::string_view value) {
  if (name == "paths") return SetLogLevels(value);
  const std::optional<LogLevel> level = ParseLogLevel(value);
  if (!level) return Invalid("unknown level '", value, "'");
  if (name == "level") {
    SetLogLevel(*level);
    return absl::OkStatus();
  }
  return SetLogLevel(name, *level) ? absl::OkStatus() : Invalid("unknown component '", name, "'");
}

}  // namespace

AdminReply LoggingPage(const AdminRequest& request, const AdminContext&) {
  if (request.query.size() > 1) return {400, Cat("error: one parameter at a time\n", kUsage)};
  for (const auto& [name, value] : request.query) {
    if (value.empty()) continue;  // Envoy's own page asks like this.
    const absl::Status changed = Change(name, value);
    if (!changed.ok()) return {400, Cat("error: ", Std(changed.message()), "\n", kUsage)};
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
