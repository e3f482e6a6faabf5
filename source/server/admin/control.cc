// The pages that make the server do something. Main thread.
#include "source/base/log.h"
#include "source/server/admin/page.h"

namespace sluice::admin {

AdminReply QuitPage(const AdminRequest&, const AdminContext& context) {
  return {200, "OK\n", kText, context.quit};
}

AdminReply HealthFailPage(const AdminRequest&, const AdminContext& context) {
  context.set_health(false);
  return {200, "OK\n"};
}

AdminReply HealthOkPage(const AdminRequest&, const AdminContext& context) {
  context.set_health(true);
  return {200, "OK\n"};
}

AdminReply DrainListenersPage(const AdminRequest& request, const AdminContext& context) {
  context.drain_listeners(
      {request.Has("graceful"), request.Has("inboundonly"), request.Has("skip_exit")});
  return {200, "OK\n"};
}

AdminReply ContentionPage(const AdminRequest&, const AdminContext&) {
  return {200, "Mutex contention tracing is not enabled: this build has none.\n"};
}

// 501, as Envoy answers in a build without them.
AdminReply NoProfilerPage(const AdminRequest& request, const AdminContext&) {
  return {501, "The current build does not support " + request.path.substr(1) +
                   ": look at the process from outside, with perf or heaptrack\n"};
}

}  // namespace sluice::admin
