// What a sparsifier knows, as data and back.
#include <algorithm>
#include <set>

#include "coppice/engine/autograd.h"
#include "coppice/sparsity/sparsifier/base.h"
#include "sparsifier/placed.h"

namespace coppice::sparsity {
namespace {

const Arguments& as_map(const char* what, std::string_view name, const Argument& value) {
  if (const auto* map = std::get_if<Arguments>(&value)) return *map;
  throw TypeError(cat("[load_state_dict] ", what, " ", quote(name), " must be a map"));
}

/// What a file says of one tensor.
struct Entry {
  std::string fqn;
  const Arguments* config;
  const Arguments* state = nullptr;
};

/// @throws ValueError, TypeError, KeyError  unless `state` has the form that state_dict() gives
std::vector<Entry> entries_of(const Arguments& state) {
  const Arguments& states = state.map("state");
  std::vector<Entry> out;
  std::set<std::string> seen;
  for (const auto& [index, value] : state.map("groups")) {
    const Arguments& config = as_map("group", index, value);
    Entry entry{config.text("tensor_fqn"), &config};
    if (!seen.insert(entry.fqn).second) throw ValueError(cat("[load_state_dict] two groups for ", quote(entry.fqn)));
    if (const Argument* known = states.find(entry.fqn)) entry.state = &as_map("the state of", entry.fqn, *known);
    out.push_back(entry);
  }
  for (const auto& [fqn, value] : states)
    if (!seen.contains(fqn)) throw ValueError(cat("[load_state_dict] the state of ", quote(fqn), " has no group"));
  state.reject_unread("a sparsifier's state");
  return out;
}

}  // namespace

Arguments BaseSparsifier::state_dict() const {
  Arguments states, groups, out;
  for (const auto& [fqn, known] : state_) {
    Arguments now = known;
    const auto group = std::ranges::find(groups_, fqn, &Group::tensor_fqn);
    if (group != groups_.end() && group->attached()) now.set("mask", group->mask());  // somebody may have replaced it
    states.set(fqn, now.clone());
  }
  for (std::size_t i = 0; i < groups_.size(); ++i) groups.set(cat(i), groups_[i].config.clone());
  out.set("state", std::move(states));
  out.set("groups", std::move(groups));
  return out;
}

BaseSparsifier::Names BaseSparsifier::load_state_dict(const Arguments& state, bool strict) {
  if (model_ == nullptr) throw StateError("[load_state_dict] the sparsifier has no model; call prepare() first");
  Names left_out;
  std::vector<Group> loaded;
  std::vector<Tensor> masks;
  OrderedMap<Arguments> states;
  for (const Entry& entry : entries_of(state)) {
    const auto own = std::ranges::find(groups_, entry.fqn, &Group::tensor_fqn);
    if (own == groups_.end() || !own->attached()) {
      left_out.push_back(entry.fqn);
      if (!strict) continue;
      if (!nn::fqn_to_tensor(*model_, entry.fqn).defined())
        throw KeyError(cat("[load_state_dict] the model has no tensor ", quote(entry.fqn)));
      throw StateError(cat("[load_state_dict] ", quote(entry.fqn), " is not prepared; call prepare() first"));
    }
    Group group = *own;
    group.config = entry.config->clone();
    placed(group, [&] { check_config(group); });
    if (group.config.has("parametrization")) (void)group.config.function<MaskParametrization>("parametrization");
    Arguments known = entry.state == nullptr ? Arguments() : entry.state->clone();
    Tensor mask;
    if (known.has("mask")) {
      mask = known.tensor("mask");
      check_mask("load_state_dict", group, mask);
    }
    known.set("mask", group.mask());
    states.set(entry.fqn, std::move(known));
    masks.push_back(mask);
    loaded.push_back(std::move(group));
  }

  const NoGrad guard;
  for (std::size_t i = 0; i < loaded.size(); ++i)
    if (masks[i].defined()) loaded[i].mask().replace_(masks[i]);
  for (Group& group : groups_)
    if (std::ranges::find(loaded, group.tensor_fqn(), &Group::tensor_fqn) == loaded.end()) {
      group.release();
      on_squashed(group);
    }
  groups_ = std::move(loaded);
  state_ = std::move(states);
  return left_out;
}

void BaseSparsifier::attach(const nn::ModulePtr& model) {
  if (model == nullptr) throw ValueError("[attach] the model is null");
  std::vector<Group> groups;
  OrderedMap<Arguments> states = state_;
  for (const Group& old : groups_) {
    Group group(nn::get_arg_info_from_tensor_fqn(*model, old.tensor_fqn()), old.config);
    if (!group.adopt())
      throw StateError(cat("[attach] ", quote(old.tensor_fqn()), " of the model is not masked by FakeSparsity"));
    Arguments* known = states.find(old.tensor_fqn());
    if (known != nullptr) known->set("mask", group.mask());
    groups.push_back(std::move(group));
  }
  std::size_t told = 0;
  try {
    for (; told < groups.size(); ++told) on_prepared(groups[told]);
  } catch (...) {
    for (std::size_t i = 0; i < told; ++i) on_squashed(groups[i]);
    throw;
  }
  groups_ = std::move(groups);
  state_ = std::move(states);
  model_ = model;
}

std::unique_ptr<BaseSparsifier> BaseSparsifier::copy() const {
  throw NotSupported(cat("[clone_onto] ", type_name(), " does not say how it is copied"));
}

std::unique_ptr<BaseSparsifier> BaseSparsifier::clone_onto(const nn::ModulePtr& model) const {
  std::unique_ptr<BaseSparsifier> out = copy();
  out->attach(model);
  return out;
}

}  // namespace coppice::sparsity
