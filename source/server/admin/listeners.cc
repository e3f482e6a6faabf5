// /listeners: the listeners and the addresses they are bound to. Main thread.
#include "api/envoy/admin/v3/listeners.pb.h"
#include "source/base/strings.h"
#include "source/server/admin/page.h"
#include "source/server/admin/proto.h"

namespace sluice::admin {

AdminReply ListenersPage(const AdminRequest& request, const AdminContext& context) {
  const std::vector<ListenerView> listeners = context.listeners();
  if (request.Get("format") != "json") {
    std::string text;
    for (const ListenerView& listener : listeners) {
      for (const Address& address : listener.addresses)
        AppendTo(&text, listener.name, "::", address.ToString(), "\n");
    }
    return {200, std::move(text)};
  }
  envoy::admin::v3::Listeners message;
  for (const ListenerView& listener : listeners) {
    auto& status = *message.add_listener_statuses();
    status.set_name(listener.name);
    for (size_t i = 0; i < listener.addresses.size(); ++i) {
      *(i == 0 ? status.mutable_local_address() : status.add_additional_local_addresses()) =
          ToProto(listener.addresses[i]);
    }
  }
  return JsonReply(message);
}

}  // namespace sluice::admin
