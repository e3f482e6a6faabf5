// LoopMark: how a process knows a request that it has forwarded before: a pseudonym in CDN-Loop
// (RFC 8586), which other proxies hand on. Not Via, for whose sake some origins do not compress.
// Immutable; any thread.
#pragma once

#include <string>
#include <string_view>

#include "source/http/headers.h"

namespace sluice {

class LoopMark {
 public:
  /// `random`: 64 random bits, which become the pseudonym.
  explicit LoopMark(uint64_t random) {
    for (int shift = 60; shift >= 0; shift -= 4) mark_ += "0123456789abcdef"[random >> shift & 0xf];
  }

  /// True if a request with these fields has passed here before.
  bool IsIn(const Headers& headers) const {
    const auto marks = headers.GetJoined(kName);
    return marks.has_value() && marks->find(mark_) != std::string_view::npos;
  }

  /// Marks a request; this object outlives its head.
  void AddTo(Headers& headers) const {
    const auto marks = headers.GetJoined(kName);
    if (!marks.has_value()) return headers.Add(HeaderId::kOther, kName, mark_);
    headers.Set(kName, std::string(*marks) + ", " + mark_);
  }

  const std::string& text() const { return mark_; }

 private:
  static constexpr std::string_view kName = "cdn-loop";
  std::string mark_;
};

}  // namespace sluice
