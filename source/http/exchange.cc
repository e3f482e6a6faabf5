// The parts of an exchange that not every request needs. Worker thread only.
#include "source/http/exchange.h"

#include <google/protobuf/struct.pb.h>

#include "source/base/reason.h"

namespace sluice {

Exchange::Exchange(Worker& worker, Scope& scope, Canceller& canceller,
                   const ConnectionFacts& connection)
    : worker_(worker),
      scope_(scope),
      canceller_(canceller),
      connection_(connection),
      remote_address_(connection.remote) {}

Exchange::~Exchange() = default;

void Exchange::DropExtras() {
  extras_.reset();
}

std::string_view RouteBase::ClusterFor(const RequestHead& head) const {
  if (cluster_header.empty()) return cluster_name;
  return head.Get(cluster_header).value_or("");
}

void Exchange::Note(const absl::Status& error) {
  const ReasonMeaning& meaning = MeaningOf(ReasonOf(error));
  if (meaning.flag.has_value()) Note(*meaning.flag);
  set_failure(ReasonOf(error));
  set_details(DetailsOf(error));
}

void Exchange::TakeOutcome(const Exchange& other) {
  flags_ = other.flags_;
  failure_ = other.failure_;
  details_ = other.details_;
  termination_details_ = other.termination_details_;
  upstream = other.upstream;
  bytes = other.bytes;
  time.upstream_connecting = other.time.upstream_connecting;
  time.upstream_connected = other.time.upstream_connected;
  if (!other.stream_id().empty()) set_stream_id(other.stream_id());
  local_close_reason = other.local_close_reason;
  close = other.close;
}

Exchange::Extras& Exchange::extras() {
  if (extras_ == nullptr) extras_ = std::make_unique<Extras>();
  return *extras_;
}

const FilterStateObject* Exchange::filter_state(std::string_view name) const {
  if (extras_ != nullptr) {
    const auto found = extras_->filter_state.find(name);
    if (found != extras_->filter_state.end()) return found->second.get();
  }
  for (const auto& [key, object] : connection_.found().filter_state) {
    if (key == name) return object.get();
  }
  return nullptr;
}

void Exchange::set_filter_state(std::string_view name,
                                std::shared_ptr<const FilterStateObject> object) {
  extras().filter_state[name] = std::move(object);
}

const google::protobuf::Struct* Exchange::metadata(std::string_view name_space) const {
  for (const SharedMetadata& shared : shared_metadata_) {
    if (shared.fields != nullptr && shared.name_space == name_space) return shared.fields;
  }
  if (extras_ == nullptr) return nullptr;
  const auto found = extras_->metadata.find(name_space);
  return found == extras_->metadata.end() ? nullptr : found->second.get();
}

void Exchange::set_metadata(std::string_view name_space,
                            std::shared_ptr<google::protobuf::Struct> value) {
  for (SharedMetadata& shared : shared_metadata_) {
    if (shared.name_space == name_space) shared = {};
  }
  extras().metadata[name_space] = std::move(value);
}

void Exchange::AddMetadata(std::string_view name_space, const google::protobuf::Struct& fields) {
  const google::protobuf::Struct* before = metadata(name_space);
  if (before == nullptr) {
    for (SharedMetadata& shared : shared_metadata_) {
      if (shared.fields != nullptr) continue;
      shared = {name_space, &fields};
      return;
    }
  }
  auto merged = before == nullptr ? std::make_shared<google::protobuf::Struct>()
                                  : std::make_shared<google::protobuf::Struct>(*before);
  for (const auto& [key, value] : fields.fields()) (*merged->mutable_fields())[key] = value;
  set_metadata(name_space, std::move(merged));
}

}  // namespace sluice
