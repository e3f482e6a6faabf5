// Matchers over dynamic metadata. Immutable after Build: any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <google/protobuf/struct.pb.h>

#include "absl/status/statusor.h"
#include "api/envoy/type/matcher/v3/metadata.pb.h"
#include "api/envoy/type/matcher/v3/value.pb.h"
#include "source/http/exchange.h"
#include "source/observe/match/match.h"

namespace sluice {

/// envoy.type.matcher.v3.ValueMatcher. What is not there matches nothing.
class ValueMatcher {
 public:
  /// InvalidArgument for a bad regular expression or a matcher that says nothing.
  static absl::StatusOr<ValueMatcher> Build(const envoy::type::matcher::v3::ValueMatcher& config);

  bool Matches(const google::protobuf::Value& value) const;

 private:
  enum class Kind : uint8_t { kNull, kRange, kNumber, kString, kBool, kPresent, kList, kOr };

  Kind kind_ = Kind::kNull;
  bool flag_ = false;
  double start_ = 0, end_ = 0;
  std::vector<StringMatcher> string_;  // one, of kString
  std::vector<ValueMatcher> inner_;    // of kList one
};

/// A place in a google.protobuf.Struct.
class MetadataPath {
 public:
  MetadataPath() = default;
  template <class Segments>
  explicit MetadataPath(const Segments& segments) {
    for (const auto& segment : segments) keys_.push_back(segment.key());
  }
  /// Null when there is nothing at that place; `fields` may be null.
  const google::protobuf::Value* Find(const google::protobuf::Struct* fields) const;

 private:
  std::vector<std::string> keys_;
};

/// envoy.type.matcher.v3.MetadataMatcher, of the exchange's dynamic metadata.
class MetadataMatcher {
 public:
  /// InvalidArgument as ValueMatcher's.
  static absl::StatusOr<MetadataMatcher> Build(
      const envoy::type::matcher::v3::MetadataMatcher& config);

  bool Matches(const Exchange& exchange) const;

 private:
  MetadataMatcher(std::string name_space, MetadataPath path, ValueMatcher value, bool invert)
      : name_space_(std::move(name_space)),
        path_(std::move(path)),
        value_(std::move(value)),
        invert_(invert) {}

  std::string name_space_;
  MetadataPath path_;
  ValueMatcher value_;
  bool invert_;
};

}  // namespace sluice
