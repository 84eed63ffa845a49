#include "coppice/nn/replace.h"

#include <string>
#include <vector>

#include "coppice/engine/error.h"

namespace coppice::nn {

ModulePtr replace_modules(const ModulePtr& root, const Replacements& replacements) {
  struct Place {
    Module* parent;
    std::string name;
    ModulePtr child;
  };
  if (root == nullptr) throw ValueError("[replace_modules] the root is null");
  for (const auto& [old, replacement] : replacements)
    if (replacement == nullptr)
      throw ValueError(cat("[replace_modules] the replacement of a ", old->type_name(), " is null"));
  std::vector<Place> places;
  for (const auto& [path, parent] : root->named_modules())
    for (const auto& [name, child] : parent->children())
      if (const auto found = replacements.find(child.get()); found != replacements.end())
        places.push_back({parent, name, found->second});
  for (const Place& place : places) place.parent->add_module(place.name, place.child);
  const auto found = replacements.find(root.get());
  return found == replacements.end() ? root : found->second;
}

}  // namespace coppice::nn
