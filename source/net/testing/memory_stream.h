// Streams in memory, and a network of them: what tests put in the place of sockets, to decide
// themselves how bytes are cut and when a buffer is full. A pair belongs to one worker.
#pragma once

#include <functional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "source/async/worker.h"
#include "source/net/dialer.h"
#include "source/net/stream.h"

namespace sluice {

/// How many bytes a read gives at most: all that are there, one, or a random number up to 16.
enum class Chunking : uint8_t { kAll, kOne, kRandom };

struct MemoryOptions {
  Chunking chunking = Chunking::kAll;
  uint64_t seed = 1;            // of kRandom
  size_t capacity = 64 * 1024;  // of each direction: who writes more waits for the reader
  Address first{}, second{};    // addresses of the two ends
};

/// Two connected ends. They behave as the ends of a TCP connection do: an end with unread bytes
/// that is closed resets the other, a write to a closed end fails, and what was written before an
/// end or a reset can still be read.
std::pair<StreamPtr, StreamPtr> MemoryPair(const MemoryOptions& options);

/// A network whose hosts are functions: Dial() hands the far end of a new pair to whoever listens
/// at the address.
class MemoryNetwork final : public Dialer {
 public:
  /// `options`: of every connection; its addresses are not used.
  explicit MemoryNetwork(MemoryOptions options) : options_(std::move(options)) {}

  using Accept = std::function<void(StreamPtr)>;
  /// From now on `accept` is called on the dialling worker for each connection to `address`.
  void Listen(const Address& address, Accept accept) { listeners_[address] = std::move(accept); }

  /// kConnectRefused where nobody listens; kCancelled.
  Task<absl::StatusOr<StreamPtr>> Dial(Address address, DialOptions options) const override;

 private:
  const MemoryOptions options_;
  absl::flat_hash_map<Address, Accept> listeners_;
};

}  // namespace sluice
