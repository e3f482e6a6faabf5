// CaresChannel: one c-ares channel with its sockets and its timer on a worker's event loop. Belongs
// to that worker; handlers keep it alive, so that a completion never meets a dead channel.
#pragma once

#include <ares.h>

#include <map>
#include <memory>
#include <string>

#include <boost/asio/posix/basic_stream_descriptor.hpp>

#include "source/net/cares_resolver.h"

namespace sluice {

/// c-ares' ways to say that a name has no addresses of the family that was asked for.
inline bool HasNoRecords(int status) {
  return status == ARES_ENODATA || status == ARES_ENOTFOUND;
}

class CaresChannel final : public std::enable_shared_from_this<CaresChannel>, private Timer {
 public:
  /// One question to c-ares and its answer.
  struct Query {
    Event done;
    std::shared_ptr<Event> also;  // Set with `done`, where somebody waits for several questions.
    bool wanted = true;           // Its asker waits.
    int status = ARES_EDESTRUCTION;
    std::vector<AddressWithTtl> addresses;
  };

  /// Null when c-ares cannot be set up (no memory, no files). `takes_failures`: a server's SERVFAIL
  /// or REFUSED is the answer; otherwise the next server or try is to do better.
  static std::shared_ptr<CaresChannel> Make(Worker& worker, const CaresOptions& options,
                                            const CaresStats& stats, bool takes_failures = false);
  ~CaresChannel() override;

  /// Asks; `done` is set when the answer is there, at once for some. `family` AF_INET, AF_INET6 or
  /// AF_UNSPEC (both).
  std::shared_ptr<Query> Ask(const std::string& name, int family);

  /// The asker does not want the answer of `query` any more. When nobody waits for anything the
  /// channel is cancelled, so that no socket and no timer of it is left.
  void Abandon(Query& query);

 private:
  struct Watch;
  struct Callback;

  CaresChannel(Worker& worker, const CaresStats& stats) : worker_(worker), stats_(stats) {}
  bool Open(const CaresOptions& options, bool takes_failures);
  bool SetServers(const CaresOptions& options);
  void Unwant(Query& query);
  void OnAnswer(Query& query, int status, int timeouts, ares_addrinfo* result);
  void OnSocketState(ares_socket_t fd, bool read, bool write);
  void Wait(const std::shared_ptr<Watch>& watch);
  void Schedule();
  void OnTimer() override;

  Worker& worker_;
  const CaresStats stats_;
  ares_channel channel_ = nullptr;
  std::map<ares_socket_t, std::shared_ptr<Watch>> watches_;
  size_t waiting_ = 0;  // questions whose askers still wait
};

}  // namespace sluice
