// States and the text of an activation sparsifier.
#include "coppice/sparsity/activation/activation_sparsifier_state.h"

#include "collected.h"
#include "coppice/engine/checked.h"
#include "coppice/nn/fqn.h"
#include "coppice/sparsity/activation/activation_sparsifier.h"

namespace coppice::sparsity {
namespace {

using State = ActivationSparsifierState;
using Mask = ActivationSparsifier::Mask;

/// Settings with tensors of their own.
ActivationOptions snapshot(const ActivationOptions& options) {
  ActivationOptions out = options;
  out.sparse_config = options.sparse_config.clone();
  return out;
}

std::vector<TensorList> snapshot(const std::vector<TensorList>& states) {
  std::vector<TensorList> out = states;
  for (TensorList& state : out)
    for (Tensor& t : state) t = t.detach().clone();
  return out;
}

State::Mask coordinates(const Mask& mask) {
  if (const auto* one = std::get_if<Tensor>(&mask)) return to_coo(*one);
  if (const auto* each = std::get_if<TensorList>(&mask)) {
    std::vector<CooTensor> out;
    for (const Tensor& t : *each) out.push_back(to_coo(t));
    return out;
  }
  return {};
}

Mask dense(const State::Mask& mask) {
  if (const auto* one = std::get_if<CooTensor>(&mask)) return to_dense(*one);
  if (const auto* each = std::get_if<std::vector<CooTensor>>(&mask)) {
    TensorList out;
    for (const CooTensor& coo : *each) out.push_back(to_dense(coo));
    return out;
  }
  return {};
}

/// A mask and what was collected must be of the kind that the settings say: the hooks rely on it.
void check_kinds(const std::string& name, const State::Group& group, const Mask& mask) {
  const bool listed = group.options.features.has_value();
  const std::size_t parts = listed ? group.options.features->size() : 1;
  const auto* each = std::get_if<TensorList>(&mask);
  if (std::holds_alternative<std::monostate>(mask)) {
    if (group.hook_state == HookState::sparsify || group.data)
      throw ValueError(cat("[load_state_dict] ", quote(name), " has no mask"));
  } else if (listed ? each == nullptr || each->size() != parts : each != nullptr) {
    throw ValueError(cat("[load_state_dict] the mask of ", quote(name), " does not fit its features"));
  }
  if (group.data && group.data->size() != parts)
    throw ValueError(
        cat("[load_state_dict] ", quote(name), " has collected ", group.data->size(), " parts of ", parts));
  if (group.data)  // which the aggregate must be able to read
    for (const TensorList& state : *group.data) (void)(*group.options.aggregate_fn)->value(state);
}

std::string listed(const std::optional<std::vector<std::int64_t>>& features) {
  if (!features) return "None";
  std::string out;
  for (const std::int64_t f : *features) out += (out.empty() ? "" : ", ") + cat(f);
  return cat("[", out, "]");
}

}  // namespace

std::string to_string(HookState state) {
  switch (state) {
    case HookState::aggregate: return "aggregate";
    case HookState::sparsify: return "sparsify";
    case HookState::none: break;
  }
  return "None";
}

ActivationSparsifierState ActivationSparsifier::state_dict() const {
  State out;
  out.defaults = snapshot(defaults_);
  for (const auto& [name, group] : groups_) {
    out.state.set(name, coordinates(group.collected->mask));
    State::Group copy{snapshot(group.options), group.hook_state, std::nullopt};
    if (group.collected->states) copy.data = snapshot(*group.collected->states);
    out.data_groups.set(name, std::move(copy));
  }
  return out;
}

void ActivationSparsifier::load_state_dict(const ActivationSparsifierState& from) {
  OrderedMap<Group> groups;
  for (const auto& [name, stored] : from.data_groups) {
    const State::Mask* mask = from.state.find(name);
    if (mask == nullptr)
      throw KeyError(cat("[load_state_dict] ", quote(name), " has settings and no entry for a mask"));
    Group group;
    group.options = snapshot(stored.options);
    check(name, group.options);
    (void)layer_at("load_state_dict", name);
    group.hook_state = stored.hook_state;
    group.collected = std::make_shared<Collected>();
    group.collected->mask = dense(*mask);
    if (stored.data) group.collected->states = snapshot(*stored.data);
    check_kinds(name, stored, group.collected->mask);
    groups.set(name, std::move(group));
  }
  ActivationOptions defaults = snapshot(from.defaults);
  for (auto& [name, group] : groups_) group.hook.remove();
  groups_ = std::move(groups);
  defaults_ = std::move(defaults);
  for (auto& [name, group] : groups_) attach(layer_at("load_state_dict", name), group, group.hook_state);
}

std::string to_string(const ActivationSparsifier& sparsifier) {
  std::string out = "ActivationSparsifier (";
  for (const auto& [name, group] : sparsifier.groups_) {
    const ActivationOptions& o = group.options;
    out += cat("\n\tData Group\n\t    name: ", name, "\n\t    feature_dim: ");
    out += o.feature_dim ? cat(*o.feature_dim) : "None";
    out += cat("\n\t    features: ", listed(o.features), "\n\t    hook_state: ", group.hook_state,
               "\n\t    layer: ", sparsifier.layer_at("to_string", name).describe(),
               "\n\t    sparse_config: ", to_string(o.sparse_config), "\n");
  }
  return out + ")";
}

}  // namespace coppice::sparsity
