// The command line: Envoy's flags, with its names and defaults. Values; parsed once by the main
// thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace sluice::config {

enum class Mode { kServe, kValidate };

struct Options {
  // What to run.
  std::string config_path;  ///< --config-path, -c
  std::string config_yaml;  ///< --config-yaml: merged over the file
  Mode mode = Mode::kServe;
  /// Workers; 0 stands for "not given": one for each hardware thread. (A given 0 is 1, as in
  /// Envoy.)
  uint32_t concurrency = 0;
  bool allow_unknown_static_fields = false;
  bool reject_unknown_dynamic_fields = false;
  bool ignore_unknown_dynamic_fields = false;
  bool skip_deprecated_logs = false;
  std::string admin_address_path;               ///< the file that gets the admin's address
  std::string local_address_ip_version = "v4";  ///< v4 or v6

  // Logs.
  std::string log_level = "info";   ///< trace, debug, info, warning, error, critical, off
  std::string component_log_level;  ///< `upstream:debug,dns:trace`
  std::string log_path;             ///< empty: standard error
  std::string log_format = "[%Y-%m-%d %T.%e][%t][%l][%n] [%g:%#] %v";
  bool log_format_escaped = false;
  uint32_t file_flush_interval_msec = 10'000;

  // Who we are.
  std::string service_cluster;
  std::string service_node;
  std::string service_zone;

  // How to end.
  uint32_t drain_time_s = 600;
  std::string drain_strategy = "gradual";  ///< gradual or immediate
  uint32_t parent_shutdown_time_s = 900;

  // Accepted for compatibility: there is no hot restart.
  uint64_t base_id = 0;
  bool use_dynamic_base_id = false;
  uint32_t restart_epoch = 0;
  bool disable_hot_restart = false;
  bool cpuset_threads = false;
  bool skip_hot_restart_on_no_parent = false;
  bool skip_hot_restart_parent_stats = false;
  std::string socket_path;
  std::string socket_mode;
  std::string base_id_path;  ///< the file that gets the base id: scripts wait for it

  // Instead of running.
  bool help = false;
  bool version = false;
  bool hot_restart_version = false;
};

/// Parses the arguments after the program's name: `--flag value` or `--flag=value`, `-c value`, `-l
/// value`. The last of a repeated flag wins. An unknown flag, one of Envoy's that is not
/// supported, a missing or bad value is an InvalidArgument that names the flag. `--help` and
/// `--version` end the parsing.
absl::StatusOr<Options> ParseOptions(const std::vector<std::string_view>& arguments);

/// The text of --help.
std::string HelpText();

}  // namespace sluice::config
