// Route actions: the parts of a Route that come from one action message, each turned into what the
// router uses, with its problems reported by path. Main thread, while a configuration is loaded.
#pragma once

#include <string>
#include <string_view>

#include <google/protobuf/duration.pb.h>

#include "api/envoy/config/route/v3/route_components.pb.h"
#include "source/config/diagnostics.h"
#include "source/config/durations.h"
#include "source/router/route.h"

namespace sluice {

using config::ToDuration;

/// Everything of a RouteAction but its cluster and its path_rewrite_policy.
void BuildForward(const envoy::config::route::v3::RouteAction& config, const std::string& path,
                  config::Diagnostics& diagnostics, Route* route);

PathRewrite BuildRegexRewrite(const envoy::type::matcher::v3::RegexMatchAndSubstitute& config,
                              const std::string& path, config::Diagnostics& diagnostics);

std::vector<HeaderMatcher> BuildMatchers(
    const google::protobuf::RepeatedPtrField<envoy::config::route::v3::HeaderMatcher>& configs,
    const std::string& path, config::Diagnostics& diagnostics);

using MirrorConfigs =
    google::protobuf::RepeatedPtrField<envoy::config::route::v3::RouteAction::RequestMirrorPolicy>;
/// Null when there are none. `path` is that of the list.
std::shared_ptr<const std::vector<MirrorPolicy>> BuildMirrors(const MirrorConfigs& configs,
                                                              const std::string& path,
                                                              config::Diagnostics& diagnostics,
                                                              config::Runtime* runtime);

Redirect BuildRedirect(const envoy::config::route::v3::RedirectAction& config,
                       const std::string& path, config::Diagnostics& diagnostics);

/// `max_body` is RouteConfiguration.max_direct_response_body_size_bytes.
DirectResponse BuildDirectResponse(const envoy::config::route::v3::DirectResponseAction& config,
                                   size_t max_body, const std::string& path,
                                   config::Diagnostics& diagnostics);

}  // namespace sluice
