// The command line. Values; parsed once by the main thread.
#include "source/config/options.h"

#include <limits>
#include <variant>

#include "source/base/strings.h"
#include "source/config/diagnostics.h"

namespace sluice::config {
namespace {

// Where a flag's value goes.
using Target = std::variant<std::string Options::*, uint32_t Options::*, uint64_t Options::*,
                            bool Options::*, Mode Options::*>;

struct Flag {
  std::string_view name;
  Target target;
  std::string_view help;
  // The words that a string may be, separated by '|'; empty: any.
  std::string_view words = {};
};

const std::vector<Flag>& Flags() {
  static const auto* flags = new std::vector<Flag>{
      {"config-path", &Options::config_path,
       "the bootstrap: .yaml, .yml, .json, .pb or .pb_text (also -c)"},
      {"config-yaml", &Options::config_yaml, "YAML that is merged over the file"},
      {"mode", &Options::mode,
       "serve (the default), or validate: check the configuration and exit"},
      {"concurrency", &Options::concurrency,
       "number of workers, by default one for each hardware thread"},
      {"log-level", &Options::log_level,
       "trace, debug, info (the default), warning, error, critical or off (also -l)",
       "trace|debug|info|warning|warn|error|critical|off"},
      {"component-log-level", &Options::component_log_level,
       "levels by component, such as upstream:debug,dns:trace"},
      {"log-path", &Options::log_path, "the file to log to, by default standard error"},
      {"log-format", &Options::log_format, "the pattern of a log line"},
      {"log-format-escaped", &Options::log_format_escaped,
       "escape control characters in log lines"},
      {"admin-address-path", &Options::admin_address_path,
       "the file that the admin's address is written to"},
      {"drain-time-s", &Options::drain_time_s,
       "seconds that connections have to end in when the proxy stops (600)"},
      {"drain-strategy", &Options::drain_strategy,
       "gradual (the default) or immediate, which is what both are here", "gradual|immediate"},
      {"service-cluster", &Options::service_cluster, "the node's cluster"},
      {"service-node", &Options::service_node, "the node's id"},
      {"service-zone", &Options::service_zone, "the node's zone"},
      {"local-address-ip-version", &Options::local_address_ip_version, "v4 (the default) or v6",
       "v4|v6"},
      {"file-flush-interval-msec", &Options::file_flush_interval_msec,
       "longest time a log line waits (10000)"},
      {"allow-unknown-static-fields", &Options::allow_unknown_static_fields,
       "warn of unknown fields and go on"},
      {"reject-unknown-dynamic-fields", &Options::reject_unknown_dynamic_fields,
       "refuse unknown fields from xDS"},
      {"ignore-unknown-dynamic-fields", &Options::ignore_unknown_dynamic_fields,
       "say nothing of unknown fields from xDS"},
      {"skip-deprecated-logs", &Options::skip_deprecated_logs, "say nothing of deprecated fields"},
      {"base-id", &Options::base_id, "accepted for compatibility"},
      {"base-id-path", &Options::base_id_path, "the file that the base id is written to"},
      {"use-dynamic-base-id", &Options::use_dynamic_base_id, "accepted for compatibility"},
      {"restart-epoch", &Options::restart_epoch, "accepted for compatibility"},
      {"disable-hot-restart", &Options::disable_hot_restart, "accepted for compatibility"},
      {"parent-shutdown-time-s", &Options::parent_shutdown_time_s, "accepted for compatibility"},
      {"cpuset-threads", &Options::cpuset_threads, "accepted for compatibility"},
      {"skip-hot-restart-on-no-parent", &Options::skip_hot_restart_on_no_parent,
       "accepted for compatibility"},
      {"skip-hot-restart-parent-stats", &Options::skip_hot_restart_parent_stats,
       "accepted for compatibility"},
      {"socket-path", &Options::socket_path, "accepted for compatibility"},
      {"socket-mode", &Options::socket_mode, "accepted for compatibility"},
      {"hot-restart-version", &Options::hot_restart_version,
       "print the version of hot restart: there is none"},
      {"version", &Options::version, "print the version"},
      {"help", &Options::help, "print this"},
  };
  return *flags;
}

const Flag* FindFlag(std::string_view name) {
  if (name == "c") name = "config-path";
  if (name == "l") name = "log-level";
  if (name == "h") name = "help";
  if (name == "allow-unknown-fields") name = "allow-unknown-static-fields";  // its older name
  for (const Flag& flag : Flags()) {
    if (flag.name == name) return &flag;
  }
  return nullptr;
}

// Flags of Envoy that have no meaning here yet, and what does the same.
struct Refused {
  std::string_view name, instead;
};
constexpr Refused kRefused[] = {
    {"disable-extensions", ""},
    {"enable-core-dump", "; ulimit -c unlimited does the same"},
    {"enable-fine-grain-logging", "; --component-log-level sets levels by component"},
    {"enable-mutex-tracing", ""},
    {"file-flush-min-size-kb", "; --file-flush-interval-msec limits how long a log line waits"},
    {"log-stacktrace-single-entry", ""},
    {"stats-tag", "; stats_config.stats_tags with a fixed_value does the same"},
};

absl::Status UnknownFlag(std::string_view argument, std::string_view name) {
  for (const Refused& flag : kRefused) {
    if (flag.name == name)
      return Invalid(argument, " is a flag of Envoy that Sluice does not support", flag.instead);
  }
  std::vector<std::string_view> names;
  for (const Flag& flag : Flags()) names.push_back(flag.name);
  const std::string_view nearest = Nearest(name, names);
  return Invalid("unknown flag ", argument,
                 nearest.empty() ? "" : Cat(" (did you mean '--", nearest, "'?)"));
}

bool IsOneOf(std::string_view words, std::string_view value) {
  while (!words.empty()) {
    const size_t bar = words.find('|');
    if (words.substr(0, bar) == value) return true;
    words.remove_prefix(bar == words.npos ? words.size() : bar + 1);
  }
  return false;
}

template <class Int>
absl::Status SetNumber(const Flag& flag, std::string_view value, Int* out) {
  const std::optional<Int> number = ParseDecimal<Int>(value);
  if (!number) {
    return Invalid("--", flag.name, ": must be a whole number up to ",
                   std::numeric_limits<Int>::max(), ", got ", Quoted(value));
  }
  *out = *number;
  return absl::OkStatus();
}

absl::Status SetValue(const Flag& flag, std::string_view value, Options* options) {
  if (const auto* text = std::get_if<std::string Options::*>(&flag.target)) {
    if (!flag.words.empty() && !IsOneOf(flag.words, value)) {
      return Invalid("--", flag.name, ": must be one of ", flag.words, ", got ", Quoted(value));
    }
    options->** text = std::string(value);
    return absl::OkStatus();
  }
  if (const auto* number = std::get_if<uint32_t Options::*>(&flag.target)) {
    return SetNumber(flag, value, &(options->**number));
  }
  if (const auto* number = std::get_if<uint64_t Options::*>(&flag.target)) {
    return SetNumber(flag, value, &(options->**number));
  }
  if (value == "init_only") return Invalid("--mode init_only is not supported yet");
  if (value != "serve" && value != "validate")
    return Invalid("--mode: must be serve or validate, got ", Quoted(value));
  options->mode = value == "serve" ? Mode::kServe : Mode::kValidate;
  return absl::OkStatus();
}

// A switch is on by being there; `--switch=false` turns it off.
absl::Status SetSwitch(const Flag& flag, bool Options::* target, const std::string_view* value,
                       Options* options) {
  if (value != nullptr && *value != "true" && *value != "false") {
    return Invalid("--", flag.name, ": takes no value, got ", Quoted(*value));
  }
  options->*target = value == nullptr || *value == "true";
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Options> ParseOptions(const std::vector<std::string_view>& arguments) {
  Options options;
  bool concurrency_given = false;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (!argument.starts_with('-') || argument.size() < 2)
      return Invalid("unexpected argument ", Quoted(argument));
    const std::string_view body = argument.substr(argument.starts_with("--") ? 2 : 1);
    const size_t equals = body.find('=');
    const std::string_view name = body.substr(0, equals);
    const bool dashes_fit = argument.starts_with("--") == (name.size() > 1);
    const Flag* flag = dashes_fit ? FindFlag(name) : nullptr;
    if (flag == nullptr) return UnknownFlag(argument.substr(0, argument.find('=')), name);
    std::string_view value = equals == body.npos ? std::string_view() : body.substr(equals + 1);
    if (const auto* target = std::get_if<bool Options::*>(&flag->target)) {
      const absl::Status set =
          SetSwitch(*flag, *target, equals == body.npos ? nullptr : &value, &options);
      if (!set.ok()) return set;
      if (options.help || options.version || options.hot_restart_version) return options;
      continue;
    }
    if (equals == body.npos) {
      if (++i == arguments.size()) return Invalid("--", flag->name, ": a value is missing");
      value = arguments[i];
    }
    const absl::Status set = SetValue(*flag, value, &options);
    if (!set.ok()) return set;
    concurrency_given |= flag->name == "concurrency";
  }
  if (concurrency_given && options.concurrency == 0) options.concurrency = 1;
  return options;
}

std::string HelpText() {
  std::string out =
      "sluice: an HTTP egress proxy that is configured like Envoy\n\nusage: sluice -c "
      "bootstrap.yaml [flags]\n\n";
  for (const Flag& flag : Flags()) {
    std::string name = Cat("  --", flag.name,
                           std::holds_alternative<bool Options::*>(flag.target) ? "" : " VALUE");
    name.resize(std::max<size_t>(name.size() + 2, 38), ' ');
    AppendTo(&out, name, flag.help, "\n");
  }
  return out;
}

}  // namespace sluice::config
