// H1Exchange: the exchange that an HTTP/1.1 server session runs, with its time limits and its watch
// over the client. Belongs to one worker.
#pragma once

#include "source/base/free_lists.h"
#include "source/http/h1/server_session.h"
#include "source/http/time_limits.h"

namespace sluice {

class H1Exchange final : public Exchange, public Pooled<H1Exchange> {
 public:
  explicit H1Exchange(ServerSession& session);
  ~H1Exchange() override;

  Task<absl::Status> SendInterim(ResponseHeadPtr head) override;
  void LimitIdle(Duration limit) override { limits_.LimitIdle(limit); }
  void LimitDuration(Duration limit) override { limits_.LimitDuration(limit); }
  void Touch() override { limits_.Touch(); }

  /// A body that came with its head, and that nobody will read any more, is in no next request's
  /// way. Not for what is refused at once: Envoy, too, looks at no body then.
  void SkipWholeBody();
  /// The response's body came to no clean end: for the log.
  void NoteBrokenBody(const absl::Status& error);
  /// Stops all time limits and the watch; the exchange is over.
  void Settle();
  /// From now on notice when the client goes away. Only while nothing reads from it.
  void WatchClient();
  void StopWatching();

  ServerSession& session() { return session_; }
  Scope& own_scope() { return own_scope_; }

  RequestHeadParser parser;
  Framing framing;  // of the request
  bool head_complete = false;
  bool request_done = false;      // its body was read to the clean end
  bool body_dropped = false;      // nobody will read the rest of it
  bool continue_wanted = false;   // the client waits for 100 Continue
  Event body_over;                // whoever had the request's body has let it go
  bool response_started = false;  // bytes of the final response may be on the wire

 private:
  // Fires when an exchange has taken long enough for its client to be worth watching.
  class Watch final : public Timer {
   public:
    explicit Watch(H1Exchange& exchange) : exchange_(exchange) {}

   private:
    void OnTimer() override;
    H1Exchange& exchange_;
  };
  static Task<> WatchPeer(H1Exchange& exchange);

  ServerSession& session_;
  Scope own_scope_;
  Scope watch_scope_;
  TimeLimits limits_{*this, *session_.settings_.overload};
  CancelTimer request_{canceller(), Reason::kRequestTimeout};
  Watch watch_{*this};
  friend class ServerSession;
  friend class DownstreamSource;
};

}  // namespace sluice
