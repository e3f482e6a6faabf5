// AttemptLog: what upstream_log says about one attempt of a request, written when the attempt has
// ended. Belongs to one worker.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "source/extension/registry.h"
#include "source/http/exchange.h"

namespace sluice {

class AttemptLog {
 public:
  using Loggers = std::vector<AccessLoggerPtr>;

  /// The attempt begins. Both arguments outlive it.
  AttemptLog(const Loggers& loggers, Exchange& exchange);
  /// Writes a line to every logger, unless the attempt came to no host.
  ~AttemptLog();

  /// The request's body, with its bytes counted from now on; null stays null.
  BodyPtr CountRequest(BodyPtr body) { return Count(std::move(body), sent_); }
  /// How it ended, or the answer that begins; its body is counted from now on.
  void OnOutcome(absl::StatusOr<Response>& outcome);

 private:
  // Of a body on its way. The body may outlive the attempt.
  struct Meter {
    uint64_t bytes = 0;
    absl::Status error;
  };
  class MeteredBody;
  class View;
  static BodyPtr Count(BodyPtr body, std::shared_ptr<Meter>& meter);
  void Fill(View& view) const;
  void FillTimes(TimeMeter& time) const;

  const Loggers& loggers_;
  Exchange& exchange_;
  const TimePoint start_ = Now();
  const WallTime wall_start_ = WallNow();
  const ByteMeter before_;
  std::shared_ptr<Meter> sent_, received_;  // null: no body
  bool answered_ = false;
  Reason failure_ = Reason::kUnknown;
  RequestHeadPtr request_;    // as it was sent
  ResponseHeadPtr response_;  // as it came
};

}  // namespace sluice
