// Peers that follow a script. The reader of responses here shares no code with the proxy, on
// purpose. Worker thread only.
#include "test/case_runner/player.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_split.h"
#include "source/base/reason.h"

namespace sluice::cases {

std::string Shown(std::string_view bytes) {
  return "\"" + absl::CEscape(Absl(bytes)) + "\"";
}

std::string Player::ParsedHead::Value(std::string_view name, std::string_view otherwise) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return std::string(otherwise);
}

bool Player::ParsedHead::Has(std::string_view name) const {
  return std::any_of(headers.begin(), headers.end(),
                     [&](const auto& header) { return header.first == name; });
}

bool Player::Fail(const std::string& what) {
  failures_.push_back(who_ + ": " + what);
  return false;
}

Task<> Player::Play() {
  for (const Step& step : script_) {
    if (!co_await Do(step)) co_return;
  }
  done_ = true;
}

Task<> Player::Watch() {
  while (co_await Fill()) {
  }
  if (!received_.empty()) Fail("got more: " + Shown(received_));
}

Task<bool> Player::Do(const Step& step) {
  switch (step.kind) {
    case Step::Kind::kSend:
      return Send(step.bytes);
    case Step::Kind::kBytes:
      return ExpectBytes(step.bytes);
    case Step::Kind::kResponse:
      return ExpectResponse(step.response);
    case Step::Kind::kAwaitEnd:
      return ExpectEnd(!step.bytes.empty());
    case Step::Kind::kEnd:
      stream_->ShutdownWrite();
      break;
    case Step::Kind::kClose:
      stream_->Close();
      break;
    case Step::Kind::kReset:
      stream_->Close(true);
      break;
  }
  return Send("");
}

// In the parts that the chunking says, the proxy having its turn after each. A proxy that stops
// reading is none of our business: what it says and whether it closes decides.
Task<bool> Player::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t most = chunking_ == Chunking::kAll   ? bytes.size()
                        : chunking_ == Chunking::kOne ? 1
                                                      : 1 + worker_.rng().Below(16);
    const std::string_view part[] = {bytes.substr(0, most)};
    bytes.remove_prefix(part[0].size());
    if (!(co_await stream_->Write(part)).ok()) break;
    if (chunking_ != Chunking::kAll) co_await Sleep(Duration::zero());
  }
  co_return true;
}

// More bytes; false at the end.
Task<bool> Player::Fill() {
  if (ended_) co_return false;
  char buffer[4096];
  auto count = co_await stream_->ReadSome(absl::MakeSpan(buffer));
  if (!count.ok() || *count == 0) {
    ended_ = true;
    co_return false;
  }
  received_.append(buffer, *count);
  co_return true;
}

Task<bool> Player::Take(size_t count, std::string* out) {
  while (received_.size() < count) {
    if (!co_await Fill()) co_return false;
  }
  out->append(received_, 0, count);
  received_.erase(0, count);
  co_return true;
}

Task<bool> Player::TakeLine(std::string* line) {
  size_t end;
  while ((end = received_.find("\r\n")) == std::string::npos) {
    if (!co_await Fill()) co_return false;
  }
  *line = received_.substr(0, end);
  received_.erase(0, end + 2);
  co_return true;
}

Task<bool> Player::ExpectBytes(std::string_view expected) {
  // A difference shows as soon as it comes: waiting for the rest would only time out.
  while (received_.size() < expected.size() && expected.starts_with(received_)) {
    if (!co_await Fill()) break;
  }
  if (!std::string_view(received_).starts_with(expected)) {
    co_return Fail(Cat("expected ", Shown(expected), ", got ", Shown(received_),
                       ended_ ? " and the end" : ""));
  }
  received_.erase(0, expected.size());
  co_return true;
}

Task<bool> Player::ExpectEnd(bool after_anything) {
  while (after_anything && co_await Fill()) received_.clear();
  if (after_anything) received_.clear();
  if (co_await Fill() || !received_.empty())
    co_return Fail("expected the end, got " + Shown(received_));
  co_return true;
}

Task<bool> Player::ReadHead(ParsedHead* head) {
  std::string line;
  while (co_await TakeLine(&line)) {
    if (line.empty()) {
      head->text += "\r\n";
      co_return true;
    }
    if (head->text.empty()) {
      head->status =
          line.size() < 12 ? 0 : ParseDecimal<int>(std::string_view(line).substr(9, 3)).value_or(0);
    } else {
      const size_t colon = line.find(": ");
      if (colon == std::string::npos)
        co_return Fail("a header line of the response is " + Shown(line));
      head->headers.emplace_back(line.substr(0, colon), line.substr(colon + 2));
    }
    if (!line.starts_with("date: ") && !line.starts_with("x-envoy-upstream-service-time: "))
      head->text += line + "\r\n";
  }
  co_return Fail(Cat("expected a response, got ", Shown(head->text + received_), " and the end"));
}

Task<bool> Player::ReadChunks(std::string* body, std::string* trailers) {
  std::string line;
  while (co_await TakeLine(&line)) {
    size_t size = 0;
    if (!absl::SimpleHexAtoi(line, &size)) co_return Fail("a chunk's size is " + Shown(line));
    if (size == 0) {
      while (co_await TakeLine(&line)) {
        if (line.empty()) co_return true;
        *trailers += line + "\n";
      }
      co_return false;
    }
    std::string end;
    if (!co_await Take(size, body) || !co_await Take(2, &end)) co_return false;
    if (end != "\r\n") co_return Fail("a chunk ends with " + Shown(end));
  }
  co_return false;
}

// False when the connection ended inside the body.
Task<bool> Player::ReadBody(const ParsedHead& head, const ResponseExpectation& expected,
                            std::string* body, std::string* trailers) {
  if (expected.bodiless || head.status < 200 || head.status == 204 || head.status == 304)
    co_return true;
  if (head.Value("transfer-encoding") == "chunked") co_return co_await ReadChunks(body, trailers);
  if (head.Has("content-length")) {
    const auto length = ParseDecimal<size_t>(head.Value("content-length"));
    if (!length.has_value())
      co_return Fail("the content-length is " + Shown(head.Value("content-length")));
    while (received_.size() < *length) {
      if (!co_await Fill()) break;
    }
    const size_t count = std::min(*length, received_.size());
    body->append(received_, 0, count);
    received_.erase(0, count);
    co_return count == *length;
  }
  while (co_await Fill()) {
  }
  *body = std::exchange(received_, {});
  co_return true;
}

Task<bool> Player::ExpectResponse(const ResponseExpectation& expected) {
  ParsedHead head;
  if (!co_await ReadHead(&head)) co_return false;
  // A tunnel's response has no framing: what follows is checked as bytes.
  std::string body, trailers;
  const bool tunnel = !head.Has("content-length") && !head.Has("transfer-encoding") &&
                      head.Value("connection") != "close" && !expected.body;
  const bool whole = tunnel || co_await ReadBody(head, expected, &body, &trailers);
  if (whole == expected.cut)
    co_return Fail(Cat(whole ? "got a whole response: " : "got a part of a response: ",
                       Shown(head.text + body)));
  co_return Compare(expected, head, body, trailers);
}

bool Player::Compare(const ResponseExpectation& expected, const ParsedHead& head,
                     const std::string& body, const std::string& trailers) {
  bool ok = true;
  auto differ = [&](const std::string& what, const std::string& want, const std::string& got) {
    ok = Fail(Cat(what, ": expected ", want, ", got ", got, " in ", Shown(head.text + body)));
  };
  if (expected.status && *expected.status != head.status)
    differ("status", std::to_string(*expected.status), std::to_string(head.status));
  if (expected.head && *expected.head != head.text)
    differ("head", Shown(*expected.head), Shown(head.text));
  if (expected.body && *expected.body != body) differ("body", Shown(*expected.body), Shown(body));
  for (const auto& [name, value] : expected.headers) {
    const std::optional<std::string> got =
        head.Has(name) ? std::optional(head.Value(name)) : std::nullopt;
    if (got != value) differ(name, value ? Shown(*value) : "none", got ? Shown(*got) : "none");
  }
  std::string wanted;
  for (const auto& [name, value] : expected.trailers) AppendTo(&wanted, name, ": ", value, "\n");
  if (wanted != trailers) differ("trailers", Shown(wanted), Shown(trailers));
  return ok;
}

}  // namespace sluice::cases
