// JSON of messages, and what redaction leaves of them. Single-threaded.
#include "source/config/proto_json.h"

#include <catch2/catch.hpp>

#include "api/envoy/config/core/v3/extension.pb.h"
#include "api/envoy/extensions/filters/http/router/v3/router.pb.h"
#include "api/sluice/validate/rules.pb.h"
#include "google/protobuf/descriptor.pb.h"
#include "google/protobuf/dynamic_message.h"
#include "google/protobuf/text_format.h"
#include "source/config/redact.h"

namespace sluice::config {
namespace {

namespace pb = google::protobuf;
using envoy::config::core::v3::TypedExtensionConfig;

TEST_CASE("an Any is opened, names are in snake case") {
  TypedExtensionConfig config;
  config.set_name("r");
  envoy::extensions::filters::http::router::v3::Router router;
  router.set_suppress_envoy_headers(true);
  config.mutable_typed_config()->PackFrom(router);
  CHECK(
      ToJson(config, {.pretty = false}) ==
      R"({"name":"r","typed_config":{"@type":"type.googleapis.com/envoy.extensions.filters.http.router.v3.Router","suppress_envoy_headers":true}})");
}

TEST_CASE("of an Any that cannot be opened at most the type is shown") {
  TypedExtensionConfig config;
  config.set_name("r");
  config.mutable_typed_config()->set_type_url("type.googleapis.com/acme.Unknown");
  CHECK(ToJson(config, {.pretty = false}) ==
        R"({"name":"r","typed_config":{"@type":"type.googleapis.com/acme.Unknown"}})");
  config.mutable_typed_config()->set_value("secret");
  CHECK(ToJson(config, {.pretty = false}) == R"({"name":"r","typed_config":{}})");
}

TEST_CASE("sensitive fields are redacted") {
  pb::DescriptorPool pool(pb::DescriptorPool::generated_pool());
  pb::FileDescriptorProto file;
  (void)validate::FieldRules::default_instance();
  REQUIRE(pb::TextFormat::ParseFromString(
      R"(name: 's.proto' syntax: 'proto3' package: 't' dependency: 'sluice/validate/rules.proto'
      message_type { name: 'M'
        field { name: 'open' number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
        field { name: 'secret' number: 2 type: TYPE_STRING label: LABEL_OPTIONAL options { [sluice.validate.sensitive]: true } }
        field { name: 'inner' number: 3 type: TYPE_MESSAGE type_name: '.t.M' label: LABEL_REPEATED options { [sluice.validate.sensitive]: true } }
        field { name: 'plain' number: 4 type: TYPE_MESSAGE type_name: '.t.M' label: LABEL_OPTIONAL } })",
      &file));
  const pb::FileDescriptor* built = pool.BuildFile(file);
  REQUIRE(built != nullptr);
  pb::DynamicMessageFactory factory;
  std::unique_ptr<pb::Message> message(factory.GetPrototype(built->message_type(0))->New());
  REQUIRE(pb::TextFormat::ParseFromString(
      "open: 'a' secret: 'b' inner { open: 'c' } plain { open: 'd' secret: 'e' }", message.get()));
  Redact(message.get());
  CHECK(message->ShortDebugString() ==
        "open: \"a\" secret: \"[redacted]\" inner { open: \"[redacted]\" } plain { open: \"d\" "
        "secret: \"[redacted]\" }");
}

}  // namespace
}  // namespace sluice::config
