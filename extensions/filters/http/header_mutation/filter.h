// Header mutation (envoy.filters.http.header_mutation): adds, overwrites and removes request and
// response headers, as the filter and its per-route configurations say. Immutable, shared by all
// workers.
#pragma once

#include <memory>
#include <string_view>

#include "api/envoy/extensions/filters/http/header_mutation/v3/header_mutation.pb.h"
#include "source/extension/registry.h"
#include "source/http/filter.h"
#include "source/observe/format/header_edits.h"

namespace sluice {

/// One Mutations message, compiled: the filter's own, or that of a route.
struct HeaderMutations {
  HeaderEdits request;
  HeaderEdits response;

  /// Problems are reported below `path`, that of the message with the field `mutations`.
  static HeaderMutations Build(
      const envoy::extensions::filters::http::header_mutation::v3::Mutations& config,
      std::string_view path, config::Diagnostics& diagnostics);
};

class HeaderMutationFilter final : public Filter {
 public:
  /// `most_specific_wins`: of several levels the most specific one is applied last.
  HeaderMutationFilter(HeaderMutations own, bool most_specific_wins)
      : own_(std::move(own)), most_specific_wins_(most_specific_wins) {}

  Task<Response> Handle(Request request, Exchange& exchange, Next next) const override;
  bool edits_every_response() const override { return true; }
  void EditUnseen(ResponseHead& response, Exchange& exchange, const Next& next) const override;

 private:
  const HeaderMutations own_;
  const bool most_specific_wins_;
};

/// Makes the filter known.
void RegisterHeaderMutation(Registry& registry);

}  // namespace sluice
