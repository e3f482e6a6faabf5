// The metrics of the process under Envoy's names (server.*, listener_manager.*). Main thread.
#pragma once

#include "source/observe/stats/stats.h"

namespace sluice {

struct ServerStats {
  explicit ServerStats(stats::Store& store);

  Gauge concurrency, live, uptime, state, memory_allocated, memory_heap_size, memory_physical_size,
      total_connections, days_until_first_cert_expiring, version, hot_restart_generation,
      stats_recent_lookups;
  Histogram initialization_time_ms;
  Counter listener_added, listener_create_success, listener_create_failure, listener_stopped;
  Gauge total_listeners_active, workers_started;
};

}  // namespace sluice
