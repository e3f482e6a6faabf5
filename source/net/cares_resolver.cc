// Look-ups over c-ares channels: families, the caller's timeout, the words of an answer. Worker
// thread only.
#include "source/net/cares_resolver.h"

#include <algorithm>

#include "source/base/strings.h"
#include "source/net/cares_channel.h"

namespace sluice {
namespace {

std::string DetailsOf(int status) {
  std::string_view prefix = "cares_failure:";
  if (status == ARES_SUCCESS) prefix = "cares_success:";
  if (HasNoRecords(status)) prefix = "cares_norecords:";
  std::string text = Cat(prefix, ares_strerror(status));
  std::replace(text.begin(), text.end(), ' ', '_');
  return text;
}

// localhost and all names below it are this host, and no server is asked (RFC 6761 section 6.3).
bool IsLocalhost(std::string_view name) {
  constexpr std::string_view kLocalhost = "localhost";
  if (!name.empty() && name.back() == '.') name.remove_suffix(1);
  if (name.size() < kLocalhost.size()) return false;
  const size_t at = name.size() - kLocalhost.size();
  return EqualsIgnoreCase(name.substr(at), kLocalhost) && (at == 0 || name[at - 1] == '.');
}

DnsAnswer LocalhostAnswer(LookupFamily family) {
  constexpr std::chrono::seconds kTtl = std::chrono::hours(1);
  const AddressWithTtl v4{*Address::Ip("127.0.0.1", 0), kTtl};
  const AddressWithTtl v6{*Address::Ip("::1", 0), kTtl};
  DnsAnswer answer{DnsAnswer::Outcome::kCompleted, std::string(kResolvedDetails), {}};
  // Where a choice is allowed both are given: a local server often listens on one of them only.
  if (family == LookupFamily::kV4Only) {
    answer.addresses = {v4};
  } else if (family == LookupFamily::kV6Only) {
    answer.addresses = {v6};
  } else if (family == LookupFamily::kV4Preferred) {
    answer.addresses = {v4, v6};
  } else {
    answer.addresses = {v6, v4};
  }
  return answer;
}

struct Families {
  int first;
  int second;  // asked when the first has no addresses; 0: none
};

Families FamiliesOf(LookupFamily family) {
  switch (family) {
    case LookupFamily::kAuto:
      return {AF_INET6, AF_INET};
    case LookupFamily::kV4Preferred:
      return {AF_INET, AF_INET6};
    case LookupFamily::kV4Only:
      return {AF_INET, 0};
    case LookupFamily::kV6Only:
      return {AF_INET6, 0};
    case LookupFamily::kAll:
      return {AF_UNSPEC, 0};
  }
  return {AF_UNSPEC, 0};
}

// The answer of two families, of which the first has no addresses. Where both have none, a failure
// says more than "no records", since the name may exist.
DnsAnswer Combine(DnsAnswer first, DnsAnswer second) {
  const bool is_first_failed = first.outcome == DnsAnswer::Outcome::kFailed;
  if (!second.has_addresses() && second.outcome == DnsAnswer::Outcome::kCompleted &&
      is_first_failed)
    return first;
  return second;
}

// How long both families may take before the IPv4 addresses alone will do.
constexpr Duration kPatienceForBoth = std::chrono::milliseconds(250);

Duration Left(TimePoint limit) {
  if (limit == TimePoint::max()) return Duration::max();
  return std::max(limit - Now(), Duration::zero());
}

using QueryPtr = std::shared_ptr<CaresChannel::Query>;

// Waits for `both`, a question for both families, and gives what has addresses first. Some networks
// drop every question for AAAA records: c-ares answers for both or for none, so that after a while
// the A records are asked for by themselves.
Task<QueryPtr> WaitForBoth(std::shared_ptr<CaresChannel> channel, std::string name, QueryPtr both,
                           TimePoint limit) {
  const bool is_waiting = co_await both->done.WaitFor(std::min(kPatienceForBoth, Left(limit)));
  if (!is_waiting || both->done.is_set() || Left(limit) == Duration::zero()) co_return both;
  const QueryPtr v4 = channel->Ask(name, AF_INET);
  v4->also = both->also = std::make_shared<Event>();
  if (!v4->done.is_set() && !both->done.is_set()) co_await both->also->WaitFor(Left(limit));
  if (!both->done.is_set() && v4->done.is_set() && v4->addresses.empty())
    co_await both->done.WaitFor(Left(limit));
  const bool is_v4 = both->addresses.empty() && !v4->addresses.empty();
  channel->Abandon(is_v4 ? *both : *v4);
  co_return is_v4 ? v4 : both;
}

}  // namespace

CaresResolver::CaresResolver(Worker& worker, CaresOptions options, CaresStats stats)
    : worker_(worker), options_(std::move(options)), stats_(stats) {}

CaresResolver::~CaresResolver() = default;

std::shared_ptr<CaresChannel> CaresResolver::Channel() {
  if (failed_) {
    channel_ = nullptr;
    failed_ = false;
    stats_.reinits.Add();
  }
  if (channel_ == nullptr) channel_ = CaresChannel::Make(worker_, options_, stats_);
  return channel_;
}

Task<DnsAnswer> CaresResolver::Resolve(std::string name, LookupFamily family, Duration timeout) {
  if (std::optional<DnsAnswer> literal = LiteralAnswer(name)) co_return std::move(*literal);
  if (!IsResolvableName(name))
    co_return DnsAnswer{DnsAnswer::Outcome::kFailed, std::string(kBadNameDetails), {}};
  if (IsLocalhost(name)) co_return LocalhostAnswer(family);
  const TimePoint limit = timeout > Duration::zero() ? Now() + timeout : TimePoint::max();
  const Families families = FamiliesOf(family);
  DnsAnswer answer = co_await Ask(name, families.first, limit);
  const bool is_over = answer.outcome == DnsAnswer::Outcome::kTimedOut ||
                       answer.outcome == DnsAnswer::Outcome::kCancelled;
  if (!answer.has_addresses() && !is_over && families.second != 0) {
    DnsAnswer second = co_await Ask(name, families.second, limit);
    answer = Combine(std::move(answer), std::move(second));
  }
  co_return std::move(answer);
}

Task<DnsAnswer> CaresResolver::Ask(std::string name, int family, TimePoint limit) {
  const std::shared_ptr<CaresChannel> channel = Channel();
  DnsAnswer answer = co_await AskOn(channel, name, family, limit);
  if (answer.outcome == DnsAnswer::Outcome::kCompleted ||
      answer.outcome == DnsAnswer::Outcome::kCancelled)
    co_return answer;
  // Of the questions that fail on one channel the first replaces it.
  if (channel == channel_) failed_ = true;
  if (answer.details != DetailsOf(ARES_ECONNREFUSED)) co_return answer;
  // After its last try c-ares says that no server could be reached, also where one has refused or
  // failed: a last question, which takes whatever comes, finds out which it was.
  co_return co_await AskOn(CaresChannel::Make(worker_, options_, {}, /*takes_failures=*/true), name,
                           family, limit);
}

Task<DnsAnswer> CaresResolver::AskOn(std::shared_ptr<CaresChannel> channel, std::string name,
                                     int family, TimePoint limit) {
  if (co_await kIsCancelled) co_return DnsAnswer{DnsAnswer::Outcome::kCancelled, {}, {}};
  if (channel == nullptr)
    co_return DnsAnswer{DnsAnswer::Outcome::kFailed, DetailsOf(ARES_ENOTINITIALIZED), {}};
  QueryPtr query = channel->Ask(name, family);
  if (family == AF_UNSPEC) {
    query = co_await WaitForBoth(channel, name, query, limit);
  } else {
    co_await query->done.WaitFor(Left(limit));
  }
  if (!query->done.is_set()) {
    channel->Abandon(*query);
    if (co_await kIsCancelled) co_return DnsAnswer{DnsAnswer::Outcome::kCancelled, {}, {}};
    co_return DnsAnswer{DnsAnswer::Outcome::kTimedOut, std::string(kResolveTimeoutDetails), {}};
  }
  const bool is_completed = query->status == ARES_SUCCESS || HasNoRecords(query->status);
  DnsAnswer answer{is_completed ? DnsAnswer::Outcome::kCompleted : DnsAnswer::Outcome::kFailed,
                   DetailsOf(query->status),
                   {}};
  answer.addresses = Interleave(query->addresses);
  if (query->status == ARES_SUCCESS && !answer.has_addresses())
    answer.details = DetailsOf(ARES_ENODATA);
  co_return answer;
}

}  // namespace sluice
