// Registration. Main thread.
#include "source/server/server_stats.h"

namespace sluice {

ServerStats::ServerStats(stats::Store& store) {
  const stats::Scope server = store.Root().Sub("server");
  concurrency = server.gauge("concurrency");
  live = server.gauge("live");
  uptime = server.gauge("uptime");
  state = server.gauge("state");
  memory_allocated = server.gauge("memory_allocated");
  memory_heap_size = server.gauge("memory_heap_size");
  memory_physical_size = server.gauge("memory_physical_size");
  total_connections = server.gauge("total_connections");
  days_until_first_cert_expiring = server.gauge("days_until_first_cert_expiring");
  version = server.gauge("version");
  hot_restart_generation = server.gauge("hot_restart_generation");
  stats_recent_lookups = server.gauge("stats_recent_lookups");
  initialization_time_ms = server.histogram("initialization_time_ms");
  // They stand at zero: nothing here raises them.
  for (const std::string_view name :
       {"debug_assertion_failures", "dropped_stat_flushes", "dynamic_unknown_fields",
        "envoy_bug_failures", "static_unknown_fields", "wip_protos"})
    server.counter(name);
  for (const std::string_view name : {"hot_restart_epoch", "parent_connections"})
    server.gauge(name);
  const stats::Scope listeners = store.Root().Sub("listener_manager");
  listener_added = listeners.counter("listener_added");
  listener_create_success = listeners.counter("listener_create_success");
  listener_create_failure = listeners.counter("listener_create_failure");
  listener_stopped = listeners.counter("listener_stopped");
  for (const std::string_view name :
       {"listener_in_place_updated", "listener_modified", "listener_removed"})
    listeners.counter(name);
  for (const std::string_view name :
       {"total_filter_chains_draining", "total_listeners_draining", "total_listeners_warming"})
    listeners.gauge(name);
  total_listeners_active = listeners.gauge("total_listeners_active");
  workers_started = listeners.gauge("workers_started");
}

}  // namespace sluice
