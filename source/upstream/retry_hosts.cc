// Judging the hosts of a retry. See retry_hosts.h for the threads.
#include "source/upstream/retry_hosts.h"

#include <algorithm>

#include <google/protobuf/util/message_differencer.h>

namespace sluice {
namespace {

using google::protobuf::Value;
using google::protobuf::util::MessageDifferencer;

bool IsOrHolds(const Value& has, const Value& wanted, bool list_as_any) {
  if (MessageDifferencer::Equals(has, wanted)) return true;
  if (!list_as_any) return false;
  const auto& elements = has.list_value().values();
  return std::any_of(elements.begin(), elements.end(), [&](const Value& element) {
    return MessageDifferencer::Equals(element, wanted);
  });
}

}  // namespace

bool HasAll(const google::protobuf::Struct& has, const google::protobuf::Struct& wanted,
            bool list_as_any) {
  return std::all_of(wanted.fields().begin(), wanted.fields().end(), [&](const auto& field) {
    const auto found = has.fields().find(field.first);
    return found != has.fields().end() && IsOrHolds(found->second, field.second, list_as_any);
  });
}

bool AttemptedHosts::Rejects(const Endpoint& endpoint) const {
  if (!retrying) return false;
  const Endpoint::Settings& settings = endpoint.settings();
  if (avoid.canary && settings.canary) return true;
  if (settings.metadata != nullptr &&
      std::any_of(avoid.metadata.begin(), avoid.metadata.end(),
                  [&](const auto& wanted) { return HasAll(*settings.metadata, wanted, true); })) {
    return true;
  }
  return avoid.previous && std::any_of(hosts.begin(), hosts.end(), [&](const EndpointPtr& host) {
           return host->address() == endpoint.address();
         });
}

std::vector<bool> AttemptedHosts::ExcludedPriorities() const {
  std::vector<bool> excluded;
  if (!retrying || avoid.priority_frequency == 0) return excluded;
  // Only whole rounds count.
  const size_t rounds = (hosts.size() - forgotten) / avoid.priority_frequency;
  for (size_t i = 0; i < rounds * avoid.priority_frequency; ++i) {
    const uint32_t priority = hosts[forgotten + i]->settings().priority;
    if (priority >= excluded.size()) excluded.resize(priority + 1);
    excluded[priority] = true;
  }
  return excluded;
}

}  // namespace sluice
