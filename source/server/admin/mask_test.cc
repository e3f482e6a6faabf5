// Field masks, also through Any.
#include "source/server/admin/mask.h"

#include <catch2/catch.hpp>

#include "api/envoy/admin/v3/config_dump_shared.pb.h"
#include "api/envoy/config/cluster/v3/cluster.pb.h"
#include "google/protobuf/any.pb.h"

namespace sluice::admin {
namespace {

using StaticCluster = envoy::admin::v3::ClustersConfigDump::StaticCluster;

TEST_CASE("A mask keeps what it names") {
  struct Row {
    std::string_view mask;
    bool fits, has_cluster, has_name, has_timeout, has_updated;
  };
  for (const Row& row :
       {Row{"", true, true, true, true, true}, Row{"cluster", true, true, true, true, false},
        Row{"last_updated", true, false, false, false, true},
        Row{"cluster.name", true, true, true, false, false},
        Row{"cluster.name,last_updated", true, true, true, false, true},
        Row{"cluster.name,cluster.connect_timeout", true, true, true, true, false},
        Row{"cluster,cluster.name", true, true, true, true, false},
        Row{"cluster.name,cluster", true, true, true, true, false},
        Row{"nope", false, {}, {}, {}, {}}, Row{"cluster.nope", false, {}, {}, {}, {}},
        Row{"cluster.name.more", false, {}, {}, {}, {}},
        Row{"cluster.load_assignment.endpoints.locality", false, {}, {}, {}, {}},
        Row{".", false, {}, {}, {}, {}}}) {
    INFO(row.mask);
    envoy::config::cluster::v3::Cluster cluster;
    cluster.set_name("c");
    cluster.mutable_connect_timeout()->set_seconds(3);
    cluster.mutable_load_assignment()->add_endpoints();
    StaticCluster message;
    message.mutable_cluster()->PackFrom(cluster);
    message.mutable_last_updated()->set_seconds(1);

    CHECK(Mask::Parse(row.mask).Trim(&message) == row.fits);
    if (!row.fits) continue;
    CHECK(message.has_cluster() == row.has_cluster);
    CHECK(message.has_last_updated() == row.has_updated);
    envoy::config::cluster::v3::Cluster left;
    message.cluster().UnpackTo(&left);
    CHECK((left.name() == "c") == row.has_name);
    CHECK(left.has_connect_timeout() == row.has_timeout);
  }
}

TEST_CASE("An Any that cannot be opened fits no mask below it") {
  StaticCluster message;
  message.mutable_cluster()->set_type_url("type.googleapis.com/no.such.Type");
  message.mutable_cluster()->set_value("x");
  CHECK_FALSE(Mask::Parse("cluster.name").Trim(&message));
  CHECK(Mask::Parse("cluster").Trim(&message));
  CHECK(message.cluster().value() == "x");
}

}  // namespace
}  // namespace sluice::admin
