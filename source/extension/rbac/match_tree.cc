// Building and walking match trees. See match_tree.h for threads.
#include "source/extension/rbac/match_tree.h"

#include "source/base/strings.h"

namespace sluice {

std::optional<MatchTree::OnMatch> MatchTree::BuildOnMatch(const Proto::OnMatch& config,
                                                          const std::string& path,
                                                          const RbacBuild& build,
                                                          const AddAction& add_action) {
  OnMatch on_match;
  if (config.has_matcher()) {
    on_match.tree = Build(config.matcher(), path + ".matcher", build, add_action);
    if (on_match.tree == nullptr) return std::nullopt;
    return on_match;
  }
  const auto action = add_action(config.action(), path + ".action");
  if (!action.has_value()) return std::nullopt;
  on_match.action = *action;
  return on_match;
}

bool MatchTree::BuildMap(const Proto::MatcherTree& config, const std::string& path,
                         const RbacBuild& build, const AddAction& add_action) {
  input_ = BuildMatchInput(config.input(), path + ".input", build);
  by_prefix_ = config.has_prefix_match_map();
  const auto& map = by_prefix_ ? config.prefix_match_map() : config.exact_match_map();
  const std::string map_path =
      Cat(path, by_prefix_ ? ".prefix_match_map.map" : ".exact_match_map.map");
  bool good = input_ != nullptr;
  for (const auto& [key, value] : map.map()) {
    auto on_match = BuildOnMatch(value, config::EntryPath(map_path, key), build, add_action);
    good = good && on_match.has_value();
    if (on_match.has_value()) map_.emplace(key, *std::move(on_match));
  }
  return good;
}

std::unique_ptr<const MatchTree> MatchTree::Build(const Proto& config, const std::string& path,
                                                  const RbacBuild& build,
                                                  const AddAction& add_action) {
  auto tree = std::make_unique<MatchTree>();
  bool good = true;
  const auto& list = config.matcher_list().matchers();
  for (int i = 0; i < list.size(); ++i) {
    const std::string field_path = Cat(path, ".matcher_list.matchers[", i, "]");
    Field field;
    field.condition = BuildPredicate(list[i].predicate(), field_path + ".predicate", build);
    auto on_match = BuildOnMatch(list[i].on_match(), field_path + ".on_match", build, add_action);
    good = good && field.condition != nullptr && on_match.has_value();
    if (!on_match.has_value()) continue;
    field.on_match = *std::move(on_match);
    tree->fields_.push_back(std::move(field));
  }
  if (config.has_matcher_tree())
    good = tree->BuildMap(config.matcher_tree(), path + ".matcher_tree", build, add_action) && good;
  if (config.has_on_no_match()) {
    tree->on_no_match_ =
        BuildOnMatch(config.on_no_match(), path + ".on_no_match", build, add_action);
    good = good && tree->on_no_match_.has_value();
  }
  if (!good) return nullptr;
  return tree;
}

std::optional<uint32_t> MatchTree::FindInMap(const RbacSubject& subject) const {
  MatchInput::Scratch scratch;
  const auto text = input_->Text(subject, scratch);
  if (!text.has_value()) return std::nullopt;
  if (!by_prefix_) {
    const auto found = map_.find(*text);
    return found == map_.end() ? std::nullopt : found->second.Find(subject);
  }
  // Keys that are prefixes of the text stand before it, the longest one last.
  for (auto next = map_.upper_bound(*text); next != map_.begin();) {
    --next;
    if (!text->starts_with(next->first)) continue;
    if (const auto found = next->second.Find(subject)) return found;
  }
  return std::nullopt;
}

std::optional<uint32_t> MatchTree::Find(const RbacSubject& subject) const {
  for (const Field& field : fields_) {
    if (!field.condition->Holds(subject)) continue;
    if (const auto found = field.on_match.Find(subject)) return found;
  }
  if (input_ != nullptr) {
    if (const auto found = FindInMap(subject)) return found;
  }
  if (on_no_match_.has_value()) return on_no_match_->Find(subject);
  return std::nullopt;
}

}  // namespace sluice
