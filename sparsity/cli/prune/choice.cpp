#include "prune/choice.h"

#include <algorithm>
#include <map>

#include "../packed.h"
#include "coppice/engine/checked.h"
#include "coppice/sparsity/tied.h"

namespace coppice::cli {
namespace {

using sparsity::Prunable;
using Groups = std::vector<std::vector<Prunable>>;

/// Patterns that meet something. @throws KeyError, NotSupported
void check_patterns(const std::vector<Prunable>& all, const std::vector<std::string>& packed, const NameFilter& filter,
                    const std::string& path) {
  std::vector<std::string> names;
  for (const Prunable& p : all) names.push_back(p.name);
  refuse_packed(filter, names, packed, path);
  names.insert(names.end(), packed.begin(), packed.end());  // left out or not, they are there
  filter.check_patterns(names);
}

/// Puts the first that is taken in front. @throws ValueError  if others are excluded by name
void lead_by_taken(std::vector<Prunable>& group, const NameFilter& filter) {
  const auto first = std::ranges::find_if(group, [&](const Prunable& p) { return filter.takes(p); });
  for (const Prunable& p : group)
    if (filter.excludes(p.name))
      throw ValueError(
          cat(quote(first->name), " and ", quote(p.name), " are one tensor: --exclude both of them, or neither"));
  std::rotate(group.begin(), first, first + 1);
}

}  // namespace

std::vector<std::string> Choice::also_named(const std::string& target) const {
  std::vector<std::string> out;
  for (const std::vector<Prunable>& group : tied)
    if (group.front().name == target)
      for (std::size_t i = 1; i < group.size(); ++i) out.push_back(group[i].name);
  return out;
}

void Choice::share_masks() const {
  for (const std::vector<Prunable>& group : tied) sparsity::share_mask(group);
}

Choice choose(const std::vector<Prunable>& all, const std::vector<std::string>& packed, const NameFilter& filter,
              const std::string& path, bool explain) {
  check_patterns(all, packed, filter, path);
  Choice out;
  std::map<std::string, std::size_t> group_of;
  for (std::vector<Prunable>& group : sparsity::tied_groups(all)) {
    if (std::ranges::none_of(group, [&](const Prunable& p) { return filter.takes(p); })) continue;
    lead_by_taken(group, filter);
    for (const Prunable& p : group) group_of.emplace(p.name, out.tied.size());
    out.tied.push_back(std::move(group));
  }
  for (const Prunable& p : all) {
    const auto group = group_of.find(p.name);
    if (group != group_of.end()) {
      if (out.tied[group->second].front().name == p.name) out.targets.push_back(p);
      continue;
    }
    std::string why = filter.why_left(p);
    if (why.empty())
      out.targets.push_back(p);
    else if (explain)
      out.left.push_back({p.name, std::move(why)});
  }
  if (out.targets.empty() && !packed.empty())
    throw NotSupported(cat("the weights of ", quote_path(path), " are packed and cannot be pruned; ",
                           unpack_command(path), " makes them dense"));
  if (out.targets.empty()) throw KeyError("no tensor is left to prune; see --include");
  return out;
}

}  // namespace coppice::cli
