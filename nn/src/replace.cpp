#include "coppice/nn/replace.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "coppice/engine/error.h"
#include "coppice/nn/slots.h"

namespace coppice::nn {
namespace {

bool stands_in(const Module& tree, const Module* wanted) {
  return std::ranges::any_of(tree.named_modules(), [&](const auto& entry) { return entry.second == wanted; });
}

std::size_t hook_count(const Module& m) { return m.forward_pre_hooks().size() + m.forward_hooks().size(); }

/// Hands on what belongs to the places of modules. All is taken off every module before anything is handed out, since a
/// module may come to one place and leave another.
class HandOver {
 public:
  /// Notes mode and plain tensors as they are now.
  void add(Module& from, Module& to) {
    const bool hooked = hook_count(from) > 0;
    carried_.push_back({hooked ? &from : nullptr, hooked ? from.weak_from_this().lock() : nullptr, &to,
                        from.plain_tensors(), from.training(), ModuleHooks()});
  }
  /// Gives the plain tensors, and makes room for the hooks, so that finish() takes no memory.
  void prepare() {
    std::map<const Module*, std::size_t> room;
    for (const Carried& c : carried_) {
      for (const auto& [name, tensor] : c.plain)
        if (!c.to->has(name)) c.to->set_tensor(name, tensor);
      if (c.from != nullptr) room.try_emplace(c.to, hook_count(*c.to)).first->second += hook_count(*c.from);
    }
    for (const Carried& c : carried_) {
      if (c.from == nullptr) continue;
      c.to->slots().reserve_hooks(room.at(c.to));
      c.from->slots().reserve_hooks(room.at(c.to));  // where `to` has no own ones, it takes the list as it is
    }
  }
  void finish() {
    for (Carried& c : carried_)
      if (c.from != nullptr) c.hooks = c.from->slots().release_hooks();
    for (Carried& c : carried_) {
      c.to->slots().take_hooks(c.hooks);
      c.to->train(c.training);
    }
  }

 private:
  struct Carried {
    Module* from;    // null if it has no hooks
    ModulePtr held;  // until they are off
    Module* to;
    OrderedMap<Tensor> plain;
    bool training;
    ModuleHooks hooks;
  };
  std::vector<Carried> carried_;
};

}  // namespace

void carry_over(Module& from, Module& to) {
  HandOver one;
  one.add(from, to);
  one.prepare();
  one.finish();
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
  const auto top = replacements.find(root.get());
  HandOver carried;
  std::set<const Module*> seen;  // a shared module has several places
  const auto carry = [&](Module& old, Module& replacement) {
    if (seen.insert(&old).second && !stands_in(replacement, &old)) carried.add(old, replacement);
  };
  for (const Place& place : places) carry(*place.old, *place.replacement);
  if (top != replacements.end()) carry(*root, *top->second);
  carried.prepare();
  // The last first: what stands inside a replaced module goes before it does.
  for (auto place = places.rbegin(); place != places.rend(); ++place)
    place->parent->add_module(place->name, place->replacement);
  carried.finish();
  return top == replacements.end() ? root : top->second;
}

}  // namespace coppice::nn
