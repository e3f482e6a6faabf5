// ClientHellos: what is read, what is refused, and that every cut of one waits.
#include "source/net/client_hello.h"

#include <catch2/catch.hpp>

#include "source/base/strings.h"

namespace sluice {
namespace {

using State = ClientHello::State;
using namespace std::string_literals;

std::string Number(size_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out.push_back(static_cast<char>(value >> (8 * i) & 0xff));
  return out;
}
std::string Part(int bytes, const std::string& text) {
  return Number(text.size(), bytes) + text;
}
std::string ServerName(const std::string& name) {
  return Number(0, 2) + Part(2, Part(2, "\0"s + Part(2, name)));
}
std::string Alpn(const std::string& first, const std::string& second) {
  return Number(16, 2) + Part(2, Part(2, Part(1, first) + Part(1, second)));
}
std::string Handshake(const std::string& extensions) {
  const std::string body = "\3\3"s + std::string(32, 'r') + Part(1, "session") +
                           Part(2, "\x13\x01"s) + Part(1, "\0"s) + extensions;
  return "\1"s + Part(3, body);
}
std::string Record(const std::string& handshake) {
  return "\x16\3\1"s + Part(2, handshake);
}

std::string Shown(std::string_view bytes) {
  const ClientHello hello = ParseClientHello(bytes);
  switch (hello.state) {
    case State::kNeedMore:
      return "more";
    case State::kNotTls:
      return "not tls";
    case State::kBad:
      return "bad";
    case State::kDone:
      break;
  }
  std::string text = "name " + hello.server_name;
  for (const std::string& protocol : hello.application_protocols) text += " " + protocol;
  return text;
}

TEST_CASE("What a ClientHello says") {
  const std::string whole =
      Record(Handshake(Part(2, Alpn("h2", "http/1.1") + ServerName("A.example"))));
  CHECK(Shown(whole) == "name a.example h2 http/1.1");
  CHECK(Shown(whole + "more") == "name a.example h2 http/1.1");
  for (size_t size = 0; size < whole.size(); ++size)
    CHECK(Shown(std::string_view(whole).substr(0, size)) == "more");
  const std::string handshake = Handshake(Part(2, ServerName("b.example")));
  CHECK(Shown(Record(handshake.substr(0, 3)) + Record(handshake.substr(3, 50)) +
              Record(handshake.substr(53))) == "name b.example");
  CHECK(Shown(Record(Handshake(""))) == "name ");
  CHECK(Shown(Record(Handshake(Part(2, "")))) == "name ");
  CHECK(Shown("") == "more");
}

TEST_CASE("What is no ClientHello") {
  CHECK(Shown("GET / HTTP/1.1\r\n") == "not tls");
  CHECK(Shown("\x16\2"s) == "not tls");
  CHECK(Shown(Record("\2\0\0\0"s)) == "bad");  // a ServerHello
  CHECK(Shown("\x16\3\1\0\0"s) == "bad");      // an empty record
  CHECK(Shown("\x16\3\1\xff\xff"s) == "bad");  // too long a record
  CHECK(Shown(Record("\1\1\0\0"s)) == "bad");  // too long a message
  CHECK(Shown(Record(Handshake(Part(2, ServerName(""))))) == "bad");
  CHECK(Shown(Record(Handshake(Part(2, ServerName("a b"))))) == "bad");
  CHECK(Shown(Record(Handshake(Part(2, ServerName(std::string(256, 'a')))))) == "bad");
  CHECK(Shown(Record(Handshake("\0\5"s))) == "bad");
  CHECK(Shown(Record(Handshake(Part(2, Number(0, 2) + "\0\5"s)))) == "bad");
  const std::string handshake = Handshake("");
  CHECK(Shown(Record(handshake.substr(0, 10)) + "\x15\3\1\0\2xx"s) == "bad");
}

}  // namespace
}  // namespace sluice
