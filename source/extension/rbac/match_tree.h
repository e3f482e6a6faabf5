// MatchTree: an xds.type.matcher.v3.Matcher compiled to find one of a list of actions. Immutable,
// any thread; built on the main thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/xds/type/matcher/v3/matcher.pb.h"
#include "source/extension/rbac/condition.h"

namespace sluice {

/// A text that a subject has: a header, an address ...
class MatchInput {
 public:
  /// Room for what has to be written down to be a text.
  using Scratch = std::string;

  virtual ~MatchInput() = default;
  /// nullopt when the subject has none. The text may lie in `scratch`.
  virtual std::optional<std::string_view> Text(const RbacSubject& subject,
                                               Scratch& scratch) const = 0;
  /// The address, of inputs that are one; null for others.
  virtual const Address* Ip(const RbacSubject&) const { return nullptr; }
  virtual bool is_address() const { return false; }
};

class MatchTree {
 public:
  using Proto = xds::type::matcher::v3::Matcher;
  /// Makes an action known and gives its number; nullopt when it is wrong, which is then reported.
  using AddAction = std::function<std::optional<uint32_t>(
      const xds::core::v3::TypedExtensionConfig&, const std::string& path)>;

  /// Null when there was a problem; it is reported at or below `path`.
  static std::unique_ptr<const MatchTree> Build(const Proto& config, const std::string& path,
                                                const RbacBuild& build,
                                                const AddAction& add_action);

  /// The number of the action; nullopt when nothing matches.
  std::optional<uint32_t> Find(const RbacSubject& subject) const;

 private:
  struct OnMatch {
    std::unique_ptr<const MatchTree> tree;  // null: the action
    uint32_t action = 0;

    std::optional<uint32_t> Find(const RbacSubject& subject) const {
      return tree == nullptr ? std::optional<uint32_t>(action) : tree->Find(subject);
    }
  };
  struct Field {
    ConditionPtr condition;
    OnMatch on_match;
  };

  static std::optional<OnMatch> BuildOnMatch(const Proto::OnMatch& config, const std::string& path,
                                             const RbacBuild& build, const AddAction& add_action);
  bool BuildMap(const Proto::MatcherTree& config, const std::string& path, const RbacBuild& build,
                const AddAction& add_action);
  std::optional<uint32_t> FindInMap(const RbacSubject& subject) const;

  std::vector<Field> fields_;  // the first that matches, and below which something matches
  std::unique_ptr<const MatchInput> input_;          // of the map
  std::map<std::string, OnMatch, std::less<>> map_;  // by the input's text
  bool by_prefix_ = false;                           // the longest prefix first
  std::optional<OnMatch> on_no_match_;
};

/// An input; null when it is wrong or not supported, which is then reported.
std::unique_ptr<const MatchInput> BuildMatchInput(const xds::core::v3::TypedExtensionConfig& config,
                                                  const std::string& path, const RbacBuild& build);
/// A predicate of a matcher list; null when it is wrong.
ConditionPtr BuildPredicate(const MatchTree::Proto::MatcherList::Predicate& config,
                            const std::string& path, const RbacBuild& build);

}  // namespace sluice
