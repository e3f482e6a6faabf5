// Each kind of rule, on a message made for the test. Single-threaded.
#include "source/config/rules.h"

#include <catch2/catch.hpp>
#include <memory>

#include "api/sluice/validate/rules.pb.h"
#include "google/protobuf/descriptor.pb.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/dynamic_message.h"
#include "google/protobuf/text_format.h"
#include "google/protobuf/wrappers.pb.h"

namespace sluice::config {
namespace {

namespace pb = google::protobuf;

// A message with one field `f` of the given descriptor text, and its rules.
class Subject {
 public:
  explicit Subject(const std::string& field) : pool_(pb::DescriptorPool::generated_pool()) {
    (void)validate::FieldRules::default_instance();
    (void)pb::Duration::default_instance();
    (void)pb::UInt32Value::default_instance();
    pb::FileDescriptorProto file;
    const std::string text = Cat(
        "name: 't.proto' syntax: 'proto3' package: 't' dependency: "
        "'google/protobuf/duration.proto' "
        "dependency: 'google/protobuf/wrappers.proto' dependency: 'sluice/validate/rules.proto' "
        "message_type { name: 'M' field { name: 'f' number: 1 ",
        field, " } }");
    REQUIRE(pb::TextFormat::ParseFromString(text, &file));
    const pb::FileDescriptor* built = pool_.BuildFile(file);
    REQUIRE(built != nullptr);
    factory_ = std::make_unique<pb::DynamicMessageFactory>();
    message_.reset(factory_->GetPrototype(built->message_type(0))->New());
  }

  std::string Check(const std::string& text) {
    REQUIRE(pb::TextFormat::ParseFromString(text, message_.get()));
    Diagnostics diagnostics;
    CheckRules(*message_, "", diagnostics);
    return diagnostics.ToString();
  }

 private:
  pb::DescriptorPool pool_;
  std::unique_ptr<pb::DynamicMessageFactory> factory_;
  std::unique_ptr<pb::Message> message_;
};

std::string Field(const std::string& type, const std::string& rules,
                  const std::string& label = "OPTIONAL") {
  const std::string kind =
      type.starts_with(".") ? Cat("TYPE_MESSAGE type_name: '", type, "'") : type;
  return Cat("type: ", kind, " label: LABEL_", label, " options { [sluice.validate.rules] { ",
             rules, " } }");
}

TEST_CASE("rules name their bound") {
  const auto [field, value, want] = GENERATE(table<std::string, std::string, std::string>({
      {Field("TYPE_UINT32", "uint32 {gte: 1 lte: 9}"), "", "f: value must be >= 1, got 0\n"},
      {Field("TYPE_UINT32", "uint32 {gte: 1 lte: 9}"), "f: 10", "f: value must be <= 9, got 10\n"},
      {Field("TYPE_UINT32", "uint32 {gte: 1 lte: 9}"), "f: 9", ""},
      {Field("TYPE_INT64", "int64 {gt: -1 lt: 3}"), "f: 3", "f: value must be < 3, got 3\n"},
      {Field("TYPE_DOUBLE", "double {gt: 0}"), "", "f: value must be > 0, got 0\n"},
      {Field("TYPE_DOUBLE", "double {gte: 0 lte: 100}"), "f: nan",
       "f: value must be <= 100, got nan\nf: value must be >= 0, got nan\n"},
      {Field("TYPE_BOOL", "bool {const: true}"), "", "f: value must be true\n"},
      {Field("TYPE_STRING", "string {min_len: 1}"), "", "f: must not be empty\n"},
      {Field("TYPE_STRING", "string {min_len: 3 ignore_empty: true}"), "", ""},
      {Field("TYPE_STRING", "string {min_len: 3}"), "f: '\xC3\xA9\xC3\xA9'",
       "f: must have at least 3 characters, got 2\n"},
      {Field("TYPE_STRING", "string {max_bytes: 1}"), "f: 'ab'",
       "f: must have at most 1 bytes, got 2\n"},
      {Field("TYPE_STRING", "string {pattern: '^[a-z]+$'}"), "f: 'A'",
       "f: must match ^[a-z]+$, got 'A'\n"},
      {Field("TYPE_STRING", "string {prefix: '/'}"), "f: 'a'", "f: must start with '/', got 'a'\n"},
      {Field("TYPE_STRING", "string {in: 'a' in: 'b'}"), "f: 'c'",
       "f: must be one of a, b, got 'c'\n"},
      {Field("TYPE_STRING", "string {header: NAME}"), "f: 'a b'",
       "f: must be a valid header name, got 'a b'\n"},
      {Field("TYPE_STRING", "string {header: NAME}"), "f: ':path'", ""},
      {Field("TYPE_STRING", "string {header: VALUE loose: true}"), "f: 'a\\n'",
       "f: must be a valid header value, got 'a\\x0a'\n"},
      {Field("TYPE_BYTES", "bytes {min_len: 2}"), "f: 'a'",
       "f: must have at least 2 bytes, got 1\n"},
      {Field("TYPE_UINT32", "repeated {min_items: 1}", "REPEATED"), "",
       "f: must have at least 1 item, got 0\n"},
      {Field("TYPE_UINT32", "repeated {max_items: 1}", "REPEATED"), "f: [1, 2]",
       "f: must have at most 1 items, got 2\n"},
      {Field("TYPE_UINT32", "repeated {items {uint32 {lt: 5}}}", "REPEATED"), "f: [1, 7]",
       "f[1]: value must be < 5, got 7\n"},
      {Field("TYPE_STRING", "repeated {unique: true}", "REPEATED"), "f: ['a', 'a']",
       "f[1]: 'a' is there twice\n"},
      {Field(".google.protobuf.Duration", "duration {gt {}}"), "f {}",
       "f: value must be > 0s, got 0s\n"},
      {Field(".google.protobuf.Duration", "duration {gt {}}"), "", ""},
      {Field(".google.protobuf.Duration", "duration {gte {nanos: 1000000}}"), "f {nanos: 5}",
       "f: value must be >= 0.001s, got 0.000000005s\n"},
      {Field(".google.protobuf.Duration", "duration {required: true}"), "", "f: must be set\n"},
      {Field(".google.protobuf.UInt32Value", "uint32 {gte: 1}"), "f {}",
       "f: value must be >= 1, got 0\n"},
      {Field(".google.protobuf.UInt32Value", "uint32 {gte: 1}"), "", ""},
      {Field(".google.protobuf.UInt32Value", "message {required: true}"), "", "f: must be set\n"},
  }));
  INFO(field << " with " << value);
  CHECK(Subject(field).Check(value) == want);
}

}  // namespace
}  // namespace sluice::config
