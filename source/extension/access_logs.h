// Access logs of a listener, connection manager or TCP proxy, from their configuration. Main
// thread, while a configuration is loaded.
#pragma once

#include <google/protobuf/repeated_ptr_field.h>

#include "api/envoy/config/accesslog/v3/accesslog.pb.h"
#include "source/extension/registry.h"

namespace sluice {

/// One logger for each entry, with its filter; problems are reported at
/// `<context.path>.<field>[i]`.
std::vector<AccessLoggerPtr> BuildAccessLogs(
    const google::protobuf::RepeatedPtrField<envoy::config::accesslog::v3::AccessLog>& logs,
    FactoryContext& context, std::string_view field);

}  // namespace sluice
