// c-ares on Asio: sockets are watched as c-ares asks, answers are only noted here and wake their
// coroutines through the loop, so that c-ares is never entered again from inside itself. Worker
// thread only.
#include "source/net/cares_channel.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace sluice {
namespace {

using Descriptor = asio::posix::basic_stream_descriptor<Executor>;

// c-ares puts 127.0.0.1 where the system names no server.
bool HasOnlyDefaultServer(ares_channel channel) {
  ares_addr_port_node* servers = nullptr;
  if (ares_get_servers_ports(channel, &servers) != ARES_SUCCESS) return false;
  const bool result = servers == nullptr || (servers->next == nullptr &&
                                             servers->family == AF_INET && servers->udp_port == 0 &&
                                             servers->addr.addr4.s_addr == htonl(INADDR_LOOPBACK));
  ares_free_data(servers);
  return result;
}

ares_addr_port_node NodeOf(const Address& address) {
  ares_addr_port_node node{};
  node.family = address.family();
  if (address.family() == AF_INET) {
    node.addr.addr4 = address.v4().sin_addr;
  } else {
    std::copy_n(address.v6().sin6_addr.s6_addr, 16,
                reinterpret_cast<unsigned char*>(&node.addr.addr6));
  }
  node.udp_port = node.tcp_port = address.port();
  return node;
}

}  // namespace

// A socket of c-ares, which opens and closes it; we only wait for it.
struct CaresChannel::Watch {
  Watch(Executor executor, ares_socket_t fd) : fd(fd), descriptor(executor, fd) {}
  ~Watch() { descriptor.release(); }
  const ares_socket_t fd;
  Descriptor descriptor;
  bool want_read = false, want_write = false;
  bool waits_read = false, waits_write = false;
  bool closed = false;
};

// What c-ares holds of a question; freed by its one call.
struct CaresChannel::Callback {
  CaresChannel* channel;
  std::shared_ptr<Query> query;
};

std::shared_ptr<CaresChannel> CaresChannel::Make(Worker& worker, const CaresOptions& options,
                                                 const CaresStats& stats, bool takes_failures) {
  std::shared_ptr<CaresChannel> channel(new CaresChannel(worker, stats));
  return channel->Open(options, takes_failures) ? channel : nullptr;
}

bool CaresChannel::Open(const CaresOptions& options, bool takes_failures) {
  static const int kLibrary = ares_library_init(ARES_LIB_INIT_ALL);
  if (kLibrary != ARES_SUCCESS) return false;
  char lookups[] = "fb";  // The hosts file, then the servers.
  ares_options values{};
  values.flags = (options.use_tcp ? ARES_FLAG_USEVC : 0) |
                 (options.no_default_search_domain ? ARES_FLAG_NOSEARCH : 0) |
                 (takes_failures ? ARES_FLAG_NOCHECKRESP : 0);
  values.timeout = static_cast<int>(std::chrono::milliseconds(options.query_timeout).count());
  values.tries = options.query_tries;
  values.lookups = lookups;
  values.sock_state_cb_data = this;
  values.sock_state_cb = [](void* self, ares_socket_t fd, int read, int write) {
    static_cast<CaresChannel*>(self)->OnSocketState(fd, read != 0, write != 0);
  };
  constexpr int kMask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
                        ARES_OPT_SOCK_STATE_CB;
  if (ares_init_options(&channel_, &values, kMask) != ARES_SUCCESS) {
    channel_ = nullptr;
    return false;
  }
  return SetServers(options);
}

bool CaresChannel::SetServers(const CaresOptions& options) {
  if (options.resolvers.empty()) return true;
  if (options.use_resolvers_as_fallback && !HasOnlyDefaultServer(channel_)) return true;
  std::vector<ares_addr_port_node> nodes;
  for (const Address& address : options.resolvers) nodes.push_back(NodeOf(address));
  for (size_t i = 0; i + 1 < nodes.size(); ++i) nodes[i].next = &nodes[i + 1];
  return ares_set_servers_ports(channel_, nodes.data()) == ARES_SUCCESS;
}

CaresChannel::~CaresChannel() {
  // Answers what is pending with ARES_EDESTRUCTION and closes the sockets, which ends their waits.
  if (channel_ != nullptr) ares_destroy(channel_);
}

std::shared_ptr<CaresChannel::Query> CaresChannel::Ask(const std::string& name, int family) {
  auto query = std::make_shared<Query>();
  ++waiting_;
  stats_.resolve_total.Add();
  stats_.pending_resolutions.Add();
  ares_addrinfo_hints hints{};
  hints.ai_family = family;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = ARES_AI_NOSORT;  // Sorting would probe routes with sockets of its own.
  ares_getaddrinfo(
      channel_, name.c_str(), nullptr, &hints,
      [](void* arg, int status, int timeouts, ares_addrinfo* result) {
        const std::unique_ptr<Callback> callback(static_cast<Callback*>(arg));
        callback->channel->OnAnswer(*callback->query, status, timeouts, result);
        if (result != nullptr) ares_freeaddrinfo(result);
      },
      new Callback{this, query});
  Schedule();
  return query;
}

void CaresChannel::Unwant(Query& query) {
  if (std::exchange(query.wanted, false)) --waiting_;
}

void CaresChannel::Abandon(Query& query) {
  if (query.done.is_set()) return;
  Unwant(query);
  if (waiting_ > 0) return;
  ares_cancel(channel_);
  Schedule();
}

void CaresChannel::OnAnswer(Query& query, int status, int timeouts, ares_addrinfo* result) {
  stats_.pending_resolutions.Sub();
  query.status = status;
  const bool is_given_up = status == ARES_ECANCELLED || status == ARES_EDESTRUCTION;
  stats_.timeouts.Add(static_cast<uint64_t>(std::max(timeouts, 0)));
  if (HasNoRecords(status)) {
    stats_.not_found.Add();
  } else if (status != ARES_SUCCESS && !is_given_up) {
    stats_.get_addr_failure.Add();
  }
  if (status == ARES_SUCCESS && result != nullptr) {
    // Twice what is kept: one family must not crowd out the other before they are interleaved.
    for (const ares_addrinfo_node* node = result->nodes;
         node != nullptr && query.addresses.size() < 2 * DnsAnswer::kMaxAddresses;
         node = node->ai_next) {
      if (node->ai_family != AF_INET && node->ai_family != AF_INET6) continue;
      query.addresses.push_back({Address::From(node->ai_addr, node->ai_addrlen).WithPort(0),
                                 std::chrono::seconds(std::max(node->ai_ttl, 0))});
    }
  }
  Unwant(query);
  query.done.Set();
  if (query.also != nullptr) query.also->Set();
}

void CaresChannel::OnSocketState(ares_socket_t fd, bool read, bool write) {
  auto it = watches_.find(fd);
  if (!read && !write) {
    if (it == watches_.end()) return;
    const std::shared_ptr<Watch> watch = std::move(it->second);
    watches_.erase(it);
    watch->closed = true;
    watch->descriptor.release();  // Ends its waits; c-ares closes the socket itself.
    return;
  }
  if (it == watches_.end())
    it = watches_.emplace(fd, std::make_shared<Watch>(worker_.executor(), fd)).first;
  it->second->want_read = read;
  it->second->want_write = write;
  Wait(it->second);
}

void CaresChannel::Wait(const std::shared_ptr<Watch>& watch) {
  const auto start = [this, &watch](Descriptor::wait_type type, bool Watch::* waits,
                                    bool Watch::* wants) {
    if (!(*watch.*wants) || *watch.*waits || watch->closed) return;
    *watch.*waits = true;
    watch->descriptor.async_wait(
        type, [self = weak_from_this(), watch, waits, wants, type](const ErrorCode& error) {
          *watch.*waits = false;
          const std::shared_ptr<CaresChannel> channel = self.lock();
          if (error || watch->closed || channel == nullptr) return;
          if (*watch.*wants) {
            const bool is_read = type == Descriptor::wait_read;
            ares_process_fd(channel->channel_, is_read ? watch->fd : ARES_SOCKET_BAD,
                            is_read ? ARES_SOCKET_BAD : watch->fd);
          }
          channel->Wait(watch);
          channel->Schedule();
        });
  };
  start(Descriptor::wait_read, &Watch::waits_read, &Watch::want_read);
  start(Descriptor::wait_write, &Watch::waits_write, &Watch::want_write);
}

void CaresChannel::Schedule() {
  timeval next{};
  if (ares_timeout(channel_, nullptr, &next) == nullptr) return Disarm();
  worker_.wheel().Arm(*this,
                      std::chrono::seconds(next.tv_sec) + std::chrono::microseconds(next.tv_usec));
}

void CaresChannel::OnTimer() {
  const std::shared_ptr<CaresChannel> self = shared_from_this();
  ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  Schedule();
}

}  // namespace sluice
