// TLS records and the ClientHello in them (RFC 8446, RFC 6066 3, RFC 7301). Pure functions.
#include "source/net/client_hello.h"

#include <algorithm>
#include <optional>

#include "source/base/strings.h"

namespace sluice {
namespace {

using State = ClientHello::State;

constexpr size_t kRecordHead = 5;
constexpr size_t kHandshakeHead = 4;
constexpr size_t kMaxRecord = 16 * 1024;
constexpr uint16_t kServerName = 0, kAlpn = 16;

uint8_t Byte(char c) {
  return static_cast<uint8_t>(c);
}

// Reads numbers and length-prefixed parts from the front; after a short read all is empty and `ok`
// is false.
struct Reader {
  std::string_view left;
  bool ok = true;

  size_t Number(int bytes) {
    if (left.size() < static_cast<size_t>(bytes)) return Fail(), 0;
    size_t value = 0;
    for (int i = 0; i < bytes; ++i) value = value << 8 | Byte(left[static_cast<size_t>(i)]);
    left.remove_prefix(static_cast<size_t>(bytes));
    return value;
  }
  std::string_view Take(size_t size) {
    if (left.size() < size) return Fail(), std::string_view();
    const std::string_view part = left.substr(0, size);
    left.remove_prefix(size);
    return part;
  }
  std::string_view Part(int length_bytes) { return Take(Number(length_bytes)); }
  void Fail() {
    ok = false;
    left = {};
  }
};

// The handshake bytes of the records that are whole, and what is wrong with them.
State JoinRecords(std::string_view bytes, std::string* handshake) {
  while (true) {
    if (!bytes.empty() && Byte(bytes[0]) != 22)
      return handshake->empty() ? State::kNotTls : State::kBad;
    if (bytes.size() >= 2 && Byte(bytes[1]) != 3)
      return handshake->empty() ? State::kNotTls : State::kBad;
    if (bytes.size() < kRecordHead) return State::kNeedMore;
    const size_t size = static_cast<size_t>(Byte(bytes[3])) << 8 | Byte(bytes[4]);
    if (size == 0 || size > kMaxRecord) return State::kBad;
    // A part of a record tells as much as there is of it.
    const std::string_view part = bytes.substr(kRecordHead, size);
    handshake->append(part);
    if (handshake->size() >= kHandshakeHead) {
      if (Byte((*handshake)[0]) != 1) return State::kBad;
      const size_t wanted = kHandshakeHead + (static_cast<size_t>(Byte((*handshake)[1])) << 16 |
                                              static_cast<size_t>(Byte((*handshake)[2])) << 8 |
                                              Byte((*handshake)[3]));
      if (wanted > kMaxRecord) return State::kBad;
      if (handshake->size() >= wanted) {
        handshake->resize(wanted);
        return State::kDone;
      }
    }
    if (part.size() < size) return State::kNeedMore;
    bytes.remove_prefix(kRecordHead + size);
  }
}

bool ReadServerName(std::string_view extension, ClientHello* hello) {
  Reader list{Reader{extension}.Part(2)};
  while (list.ok && !list.left.empty()) {
    const size_t type = list.Number(1);
    const std::string_view name = list.Part(2);
    if (!list.ok) return false;
    if (type != 0) continue;
    const bool printable =
        std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && Byte(c) < 0x7f; });
    if (name.empty() || name.size() > 255 || !printable) return false;
    hello->server_name = ToLower(name);
    return true;
  }
  return list.ok;
}

bool ReadProtocols(std::string_view extension, ClientHello* hello) {
  Reader list{Reader{extension}.Part(2)};
  while (list.ok && !list.left.empty()) {
    const std::string_view protocol = list.Part(1);
    if (list.ok) hello->application_protocols.emplace_back(protocol);
  }
  return list.ok;
}

bool ReadHello(std::string_view handshake, ClientHello* hello) {
  Reader reader{handshake.substr(kHandshakeHead)};
  reader.Take(2 + 32);  // version, random
  reader.Part(1);       // session
  reader.Part(2);       // cipher suites
  reader.Part(1);       // compression
  if (!reader.ok) return false;
  if (reader.left.empty()) return true;  // Old clients have no extensions.
  Reader extensions{reader.Part(2)};
  while (reader.ok && extensions.ok && !extensions.left.empty()) {
    const size_t type = extensions.Number(2);
    const std::string_view extension = extensions.Part(2);
    if (!extensions.ok) break;
    if (type == kServerName && !ReadServerName(extension, hello)) return false;
    if (type == kAlpn && !ReadProtocols(extension, hello)) return false;
  }
  return reader.ok && extensions.ok;
}

}  // namespace

ClientHello ParseClientHello(std::string_view bytes) {
  ClientHello hello;
  std::string handshake;
  hello.state = JoinRecords(bytes, &handshake);
  if (hello.state != State::kDone) return hello;
  if (ReadHello(handshake, &hello)) return hello;
  hello = ClientHello();
  hello.state = State::kBad;
  return hello;
}

}  // namespace sluice
