// ClientWatch: notices that a client breaks off while nobody reads from it yet. Belongs to one
// worker.
#pragma once

#include "source/extension/network_filter.h"
#include "source/http/h1/read_buffer.h"

namespace sluice {

/// From 50 ms after it was made until End(): what the client sends is kept for later, up to 64 KiB;
/// an error of its connection cancels the connection's coroutine. Its end is none: a client may
/// have said all that it has to say.
class ClientWatch final : private Timer {
 public:
  explicit ClientWatch(Connection& connection);

  /// Stops watching. To be awaited before the watch dies.
  Task<> End();
  /// After End(): what came meanwhile.
  ReadBuffer& early() { return early_; }

 private:
  void OnTimer() override { scope_.Spawn(Watch(*this)); }
  static Task<> Watch(ClientWatch& watch);

  Connection& connection_;
  Scope scope_;
  ReadBuffer early_;
};

}  // namespace sluice
