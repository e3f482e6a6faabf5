// The metrics of the process under Envoy's names (server.*, listener_manager.*). Main thread.
#pragma once

#include "source/observe/stats/stats.h"

namespace sluice {

struct ServerStats {
  explicit ServerStats(stats::Store& store);

  Gauge concurrency, live, uptime, state, memory_allocated, memory_heap_size, memory_physical_size,
      parent_connections, total_connections, days_until_first_cert_expiring, version,
      hot_restart_epoch, hot_restart_generation, stats_recent_lookups;
  Counter static_unknown_fields, dynamic_unknown_fields;
  Histogram initialization_time_ms;
  Counter listener_added, listener_create_success, listener_create_failure, listener_modified,
      listener_removed, listener_stopped;
  Gauge total_listeners_active, total_listeners_draining, total_listeners_warming, workers_started;
};

}  // namespace sluice
