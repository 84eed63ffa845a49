#include "coppice/nn/replace.h"

#include <algorithm>
#include <string>
#include <vector>

#include "coppice/engine/error.h"
#include "coppice/nn/slots.h"

namespace coppice::nn {
namespace {

bool stands_in(const Module& tree, const Module* wanted) {
  return std::ranges::any_of(tree.named_modules(), [&](const auto& entry) { return entry.second == wanted; });
}

}  // namespace

void carry_over(Module& from, Module& to) {
  for (const auto& [name, tensor] : from.plain_tensors())
    if (!to.has(name)) to.set_tensor(name, tensor);
  to.slots().take_hooks(from);
  to.train(from.training());
}

ModulePtr replace_modules(const ModulePtr& root, const Replacements& replacements) {
  struct Place {
    Module* parent;
    std::string name;
    Module* old;
    ModulePtr replacement;
  };
  if (root == nullptr) throw ValueError("[replace_modules] the root is null");
  for (const auto& [old, replacement] : replacements)
    if (replacement == nullptr)
      throw ValueError(cat("[replace_modules] the replacement of a ", old->type_name(), " is null"));
  std::vector<Place> places;
  for (const auto& [path, parent] : root->named_modules())
    for (const auto& [name, child] : parent->children())
      if (const auto found = replacements.find(child.get()); found != replacements.end())
        places.push_back({parent, name, child.get(), found->second});
  const auto carry = [](Module& old, Module& replacement) {
    if (!stands_in(replacement, &old)) carry_over(old, replacement);
  };
  // In a second place of a shared module there is nothing left to carry.
  for (const Place& place : places) carry(*place.old, *place.replacement);
  // The last first: what stands inside a replaced module goes before it does.
  for (auto place = places.rbegin(); place != places.rend(); ++place)
    place->parent->add_module(place->name, place->replacement);
  const auto found = replacements.find(root.get());
  if (found == replacements.end()) return root;
  carry(*root, *found->second);
  return found->second;
}

}  // namespace coppice::nn
