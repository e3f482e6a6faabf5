// Small conversions between our values and the messages that the admin prints. Pure.
#pragma once

#include <string>

#include "api/envoy/config/core/v3/address.pb.h"
#include "api/envoy/config/endpoint/v3/endpoint.pb.h"
#include "google/protobuf/message.h"
#include "google/protobuf/timestamp.pb.h"
#include "source/server/admin/page.h"

namespace sluice::admin {

/// A page of this message as JSON, one field a line.
AdminReply JsonReply(const google::protobuf::Message& message, bool print_defaults = false);

/// A socket_address or a pipe; an unset address gives an empty message.
envoy::config::core::v3::Address ToProto(const Address& address);

google::protobuf::Timestamp ToProto(WallTime time);

/// As /clusters and /config_dump say it.
envoy::config::core::v3::HealthStatus ToProto(ConfiguredHealth health);

/// The hosts of a cluster, grouped by priority and locality in the order of their first host.
envoy::config::endpoint::v3::ClusterLoadAssignment EndpointsOf(const ClusterView& cluster);

}  // namespace sluice::admin
