// The pages about the process itself. Main thread.
#include <malloc.h>
#include <unistd.h>

#include <cstdio>

#include "api/envoy/admin/v3/server_info.pb.h"
#include "source/base/strings.h"
#include "source/config/redact.h"
#include "source/server/admin/page.h"
#include "source/server/admin/proto.h"

namespace sluice::admin {
namespace {

namespace api = envoy::admin::v3;

api::CommandLineOptions CommandLine(const config::Options& options, uint32_t concurrency) {
  api::CommandLineOptions out;
  out.set_base_id(options.base_id);
  out.set_use_dynamic_base_id(options.use_dynamic_base_id);
  out.set_concurrency(concurrency);
  out.set_config_path(options.config_path);
  out.set_config_yaml(options.config_yaml.empty()
                          ? ""
                          : "[redacted]");  // it may hold secrets, and /config_dump shows it merged
  out.set_allow_unknown_static_fields(options.allow_unknown_static_fields);
  out.set_reject_unknown_dynamic_fields(options.reject_unknown_dynamic_fields);
  out.set_ignore_unknown_dynamic_fields(options.ignore_unknown_dynamic_fields);
  out.set_skip_deprecated_logs(options.skip_deprecated_logs);
  out.set_admin_address_path(options.admin_address_path);
  out.set_local_address_ip_version(options.local_address_ip_version == "v6"
                                       ? api::CommandLineOptions::v6
                                       : api::CommandLineOptions::v4);
  out.set_log_level(options.log_level);
  out.set_component_log_level(options.component_log_level);
  out.set_log_format(options.log_format);
  out.set_log_format_escaped(options.log_format_escaped);
  out.set_log_path(options.log_path);
  out.set_service_cluster(options.service_cluster);
  out.set_service_node(options.service_node);
  out.set_service_zone(options.service_zone);
  out.mutable_file_flush_interval()->set_seconds(options.file_flush_interval_msec / 1000);
  out.mutable_file_flush_interval()->set_nanos(
      static_cast<int32_t>(options.file_flush_interval_msec % 1000 * 1'000'000));
  out.mutable_drain_time()->set_seconds(options.drain_time_s);
  out.set_drain_strategy(options.drain_strategy == "immediate" ? api::CommandLineOptions::Immediate
                                                               : api::CommandLineOptions::Gradual);
  out.mutable_parent_shutdown_time()->set_seconds(options.parent_shutdown_time_s);
  out.set_mode(options.mode == config::Mode::kServe ? api::CommandLineOptions::Serve
                                                    : api::CommandLineOptions::Validate);
  out.set_disable_hot_restart(options.disable_hot_restart);
  out.set_restart_epoch(options.restart_epoch);
  out.set_cpuset_threads(options.cpuset_threads);
  return out;
}

// Resident bytes, 0 where /proc cannot be read.
uint64_t ResidentBytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  unsigned long long total = 0, resident = 0;
  const int read = std::fscanf(file, "%llu %llu", &total, &resident);
  std::fclose(file);
  return read == 2 ? resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) : 0;
}

}  // namespace

std::string_view ToString(ServerState state) {
  switch (state) {
    case ServerState::kLive:
      return "LIVE";
    case ServerState::kDraining:
      return "DRAINING";
    case ServerState::kPreInitializing:
      return "PRE_INITIALIZING";
    case ServerState::kInitializing:
      return "INITIALIZING";
  }
  return "LIVE";
}

AdminReply ReadyPage(const AdminRequest&, const AdminContext& context) {
  const ServerState state = context.state();
  return {state == ServerState::kLive ? 200 : 503, Cat(ToString(state), "\n")};
}

AdminReply ServerInfoPage(const AdminRequest&, const AdminContext& context) {
  api::ServerInfo info;
  info.set_version(context.version);
  info.set_state(static_cast<api::ServerInfo::State>(context.state()));
  const int64_t uptime = Milliseconds(Now() - context.started) / 1000;
  info.mutable_uptime_current_epoch()->set_seconds(uptime);
  info.mutable_uptime_all_epochs()->set_seconds(uptime);
  info.set_hot_restart_version("disabled");
  *info.mutable_command_line_options() = CommandLine(context.options, context.concurrency);
  auto& node = *info.mutable_node();
  node = context.bootstrap.node();
  // The command line wins over the bootstrap, as in Envoy.
  const config::Options& options = context.options;
  if (!options.service_node.empty()) node.set_id(options.service_node);
  if (!options.service_cluster.empty()) node.set_cluster(options.service_cluster);
  if (!options.service_zone.empty()) node.mutable_locality()->set_zone(options.service_zone);
  config::Redact(&info);
  return JsonReply(info, true);
}

AdminReply MemoryPage(const AdminRequest&, const AdminContext&) {
  const struct mallinfo2 memory = mallinfo2();
  // Under the names of envoy.admin.v3.Memory, whose 64-bit numbers are JSON strings; what glibc
  // does not know is left out.
  return {200,
          Cat("{\n \"allocated\": \"", memory.uordblks + memory.hblkhd, "\",\n \"heap_size\": \"",
              memory.arena + memory.hblkhd, "\",\n \"pageheap_free\": \"", memory.fordblks,
              "\",\n \"total_physical_bytes\": \"", ResidentBytes(), "\"\n}\n"),
          kJson};
}

// There is no TLS yet and no init manager: the pages say so in the shape that scripts expect.
AdminReply CertsPage(const AdminRequest&, const AdminContext&) {
  return {200, "{\n \"certificates\": []\n}\n", kJson};
}

AdminReply InitDumpPage(const AdminRequest&, const AdminContext&) {
  return {200, "{}\n", kJson};
}

AdminReply HotRestartVersionPage(const AdminRequest&, const AdminContext&) {
  return {200, "disabled"};
}

}  // namespace sluice::admin
