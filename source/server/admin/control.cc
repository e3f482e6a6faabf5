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
  // What Envoy would do differently for these, we cannot do: better nothing than something else.
  for (const char* unsupported : {"inboundonly", "skip_exit"}) {
    if (request.Has(unsupported))
      return {400, std::string(unsupported) + " is not supported yet\n"};
  }
  context.drain_listeners(request.Has("graceful"));
  return {200, "OK\n"};
}

}  // namespace sluice::admin
