// MetadataCriteria: what a route asks of the endpoints of a cluster with subsets: values of their
// metadata below envoy.lb. Immutable; any thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include <google/protobuf/struct.pb.h>

#include "api/envoy/config/core/v3/base.pb.h"

namespace sluice {

/// Texts of the values by their keys, such that equal values have equal texts.
using CanonicalFields = std::map<std::string, std::string>;

std::string CanonicalText(const google::protobuf::Value& value);
/// One text for all fields; different for different fields.
std::string CanonicalText(const CanonicalFields& fields);

class MetadataCriteria {
 public:
  explicit MetadataCriteria(CanonicalFields fields)
      : fields_(std::move(fields)), text_(CanonicalText(fields_)) {}
  /// From a metadata_match; null when that asks for nothing. `base`, if there is one, holds for
  /// what `config` does not name.
  static std::shared_ptr<const MetadataCriteria> Build(
      const envoy::config::core::v3::Metadata& config,
      const std::shared_ptr<const MetadataCriteria>& base = nullptr);

  /// With the fields of a request's own metadata put over these.
  MetadataCriteria With(const google::protobuf::Struct& own) const;

  const CanonicalFields& fields() const { return fields_; }
  const std::string& text() const { return text_; }

 private:
  CanonicalFields fields_;
  std::string text_;
};

}  // namespace sluice
