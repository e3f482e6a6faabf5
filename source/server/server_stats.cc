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
  parent_connections = server.gauge("parent_connections");
  total_connections = server.gauge("total_connections");
  days_until_first_cert_expiring = server.gauge("days_until_first_cert_expiring");
  version = server.gauge("version");
  hot_restart_epoch = server.gauge("hot_restart_epoch");
  hot_restart_generation = server.gauge("hot_restart_generation");
  stats_recent_lookups = server.gauge("stats_recent_lookups");
  initialization_time_ms = server.histogram("initialization_time_ms");
  static_unknown_fields = server.counter("static_unknown_fields");
  dynamic_unknown_fields = server.counter("dynamic_unknown_fields");
  // They stand at zero: nothing here raises them.
  for (const std::string_view name :
       {"debug_assertion_failures", "dropped_stat_flushes", "envoy_bug_failures", "wip_protos"})
    server.counter(name);
  const stats::Scope listeners = store.Root().Sub("listener_manager");
  listener_added = listeners.counter("listener_added");
  listener_create_success = listeners.counter("listener_create_success");
  listener_create_failure = listeners.counter("listener_create_failure");
  listener_modified = listeners.counter("listener_modified");
  listener_removed = listeners.counter("listener_removed");
  listener_stopped = listeners.counter("listener_stopped");
  listeners.gauge("total_filter_chains_draining");
  total_listeners_active = listeners.gauge("total_listeners_active");
  total_listeners_draining = listeners.gauge("total_listeners_draining");
  total_listeners_warming = listeners.gauge("total_listeners_warming");
  workers_started = listeners.gauge("workers_started");
}

}  // namespace sluice
