// Every message of the public API as dynamic messages. Built on first use under C++'s rules for
// statics, then read only.
#include "source/config/known_api.h"

#include <algorithm>

#include "google/protobuf/descriptor_database.h"
#include "google/protobuf/dynamic_message.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/wire_format_lite.h"

namespace sluice::config {

// The generated table: bytes of a FileDescriptorSet.
extern const char kKnownApi[];
extern const size_t kKnownApiSize;

namespace {

namespace pb = google::protobuf;

// Hands the files of the set to the database, which parses each when it is asked for.
pb::EncodedDescriptorDatabase* BuildDatabase() {
  auto* database = new pb::EncodedDescriptorDatabase;
  pb::io::CodedInputStream input(reinterpret_cast<const uint8_t*>(kKnownApi),
                                 static_cast<int>(kKnownApiSize));
  uint32_t length = 0;
  while (input.ReadTag() != 0 && input.ReadVarint32(&length)) {
    database->Add(kKnownApi + input.CurrentPosition(), static_cast<int>(length));
    if (!input.Skip(static_cast<int>(length))) break;
  }
  return database;
}

// Never destroyed: dynamic messages may live as long as the process.
pb::EncodedDescriptorDatabase& Database() {
  static pb::EncodedDescriptorDatabase* database = BuildDatabase();
  return *database;
}

}  // namespace

const pb::DescriptorPool& KnownApi() {
  static const auto* pool = new pb::DescriptorPool(&Database());
  return *pool;
}

pb::Message* NewKnownMessage(std::string_view full_name) {
  static auto* factory = new pb::DynamicMessageFactory(&KnownApi());
  const pb::Descriptor* descriptor = KnownApi().FindMessageTypeByName(std::string(full_name));
  return descriptor == nullptr ? nullptr : factory->GetPrototype(descriptor)->New();
}

const pb::Descriptor* SupportedMessage(std::string_view full_name) {
  return pb::DescriptorPool::generated_pool()->FindMessageTypeByName(std::string(full_name));
}

const std::vector<std::string>& SupportedMessageNames() {
  static const auto* names = [] {
    auto* found = new std::vector<std::string>;
    std::vector<std::string> all;
    Database().FindAllMessageNames(&all);
    std::sort(all.begin(), all.end());
    for (std::string& name : all) {
      if (SupportedMessage(name) != nullptr) found->push_back(std::move(name));
    }
    return found;
  }();
  return *names;
}

}  // namespace sluice::config
