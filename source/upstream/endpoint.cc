// Endpoints and their figures. See endpoint.h for the threads.
#include "source/upstream/endpoint.h"

namespace sluice {

HostStats::HostStats()
    : cx_total(NewCounter()),
      cx_connect_fail(NewCounter()),
      rq_total(NewCounter()),
      rq_success(NewCounter()),
      rq_error(NewCounter()),
      rq_timeout(NewCounter()),
      rq_local_error(NewCounter()),
      cx_active(NewGauge()),
      rq_active(NewGauge()),
      rq_pending(NewGauge()) {}

HostStats::~HostStats() {
  for (Counter counter :
       {cx_total, cx_connect_fail, rq_total, rq_success, rq_error, rq_timeout, rq_local_error})
    Free(counter);
  for (Gauge gauge : {cx_active, rq_active, rq_pending}) Free(gauge);
}

Endpoint::Endpoint(Settings settings, std::shared_ptr<HostStats> stats, size_t workers)
    : settings_(std::move(settings)), stats_(std::move(stats)), lines_(workers) {}

Endpoint::~Endpoint() = default;

int64_t Endpoint::active() const {
  int64_t sum = 0;
  for (const Line& line : lines_) sum += line.active.load(std::memory_order_relaxed);
  return sum;
}

void Endpoint::AddActive(int worker, int64_t n) const {
  std::atomic<int64_t>& active = lines_[worker].active;
  active.store(active.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

}  // namespace sluice
