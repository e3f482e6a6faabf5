// What a route reads of a request target: normalisation comes to rest after one step and leaves
// nothing that an origin could read differently; templates and cookies only give parts of their
// input. The first byte of an input chooses the settings. One thread.
#include <string>

#include "source/http/message.h"
#include "source/http/path.h"
#include "source/router/cookie.h"
#include "source/router/uri_template.h"
#include "test/fuzz/check.h"

namespace sluice {
namespace {

std::string_view WithoutQuery(std::string_view path) {
  return path.substr(0, path.find('?'));
}

bool HasDotSegment(std::string_view path) {
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::string_view segment = path.substr(0, path.find('/'));
    if (segment == "." || segment == ".." || segment.starts_with("..;")) return true;
    path.remove_prefix(segment.size());
  }
  return false;
}

PathSettings SettingsOf(uint8_t choice) {
  constexpr EscapedSlashes kActions[] = {EscapedSlashes::kKeep, EscapedSlashes::kReject,
                                         EscapedSlashes::kRedirect, EscapedSlashes::kForward};
  return {(choice & 1) != 0, (choice & 2) != 0, kActions[choice >> 2 & 3]};
}

void CheckVerdict(std::string_view input, const PathSettings& settings) {
  const PathVerdict verdict = CheckPath(input, settings);
  if (verdict.action == PathVerdict::Action::kReject) return;
  const std::string path = verdict.path.empty() ? std::string(input) : verdict.path;
  FUZZ_CHECK(path.starts_with('/'));
  const std::string_view bare = WithoutQuery(path);
  if (settings.normalize) {
    FUZZ_CHECK(!HasDotSegment(bare));
    FUZZ_CHECK(bare.find('\\') == std::string_view::npos);
  }
  if (settings.merge_slashes) FUZZ_CHECK(bare.find("//") == std::string_view::npos);
  // The query is nobody's business here.
  const size_t query = input.find('?');
  FUZZ_CHECK(query == std::string_view::npos || path.ends_with(input.substr(query)));
  if (verdict.action == PathVerdict::Action::kRedirect) return;
  const PathVerdict again = CheckPath(path, settings);
  FUZZ_CHECK(again.action == PathVerdict::Action::kAccept);
  FUZZ_CHECK(again.path.empty() || again.path == path);
}

void CheckTemplates(std::string_view path) {
  static const auto match = *UriTemplate::Parse("/{a}/x-{b}/{rest=**}");
  static const auto rewrite = *UriTemplateRewrite::Parse("/{rest}/{b}/{a}", match);
  const bool matches = match->Matches(path);
  const auto parts = match->Capture(path);
  FUZZ_CHECK(matches == !parts.empty());
  for (const std::string_view part : parts)
    FUZZ_CHECK(part.empty() || path.find(part) != std::string_view::npos);
  const std::string written = rewrite->Rewrite(path);
  FUZZ_CHECK(matches ? written.starts_with('/') : written == path);
}

void CheckCookie(std::string_view text) {
  RequestHead head;
  head.headers.AddCopy("cookie", text);
  const auto value = Cookie(head, "a");
  if (!value.has_value()) return;
  FUZZ_CHECK(text.find(*value) != std::string_view::npos);
  FUZZ_CHECK(value->find(';') == std::string_view::npos);
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string input = "/" + std::string(reinterpret_cast<const char*>(data + 1), size - 1);
  sluice::CheckVerdict(input, sluice::SettingsOf(data[0]));
  sluice::CheckTemplates(sluice::WithoutQuery(input));
  sluice::CheckCookie(std::string_view(input).substr(1));
  return 0;
}
