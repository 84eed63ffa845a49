#include "coppice/sparsity/activation/activation_sparsifier.h"

#include "collected.h"
#include "coppice/engine/autograd.h"
#include "coppice/engine/checked.h"
#include "coppice/engine/warn.h"
#include "coppice/nn/fqn.h"

namespace coppice::sparsity {
namespace {

/// `options` over `defaults`.
ActivationOptions merged(const ActivationOptions& defaults, const ActivationOptions& options) {
  ActivationOptions out = defaults;
  out.sparse_config = defaults.sparse_config.clone();
  if (options.aggregate_fn) out.aggregate_fn = options.aggregate_fn;
  if (options.reduce_fn) out.reduce_fn = options.reduce_fn;
  if (options.mask_fn) out.mask_fn = options.mask_fn;
  if (options.features) out.features = options.features;
  if (options.feature_dim) out.feature_dim = options.feature_dim;
  for (const auto& [key, value] : options.sparse_config) out.sparse_config.set(key, value);
  return out;
}

std::string path_of(const char* op, const nn::Module& model, const nn::Module& layer) {
  if (auto path = nn::module_to_fqn(model, layer)) return *path;
  throw ValueError(cat("[", op, "] the ", layer.type_name(), " is not in the model"));
}

}  // namespace

ActivationSparsifier::ActivationSparsifier(nn::Module& model, ActivationOptions defaults, bool in_place)
    : model_(&model), defaults_(std::move(defaults)), in_place_(in_place) {}

ActivationSparsifier::~ActivationSparsifier() {
  for (auto& [name, group] : groups_)
    if (group.hook_state == HookState::aggregate) group.hook.remove();
}

void ActivationSparsifier::check(const std::string& name, const ActivationOptions& options) {
  const auto missing = [&](const char* role) {
    throw ValueError(cat("[register_layer] ", quote(name), " has no ", role, ", and neither have the defaults"));
  };
  if (options.features && !options.feature_dim)
    throw ValueError(cat("[register_layer] the features of ", quote(name), " need a feature_dim"));
  if (!options.aggregate_fn) missing("aggregate_fn");
  if (!options.reduce_fn) missing("reduce_fn");
  if (!options.mask_fn) missing("mask_fn");
  for (const std::int64_t feature : options.features.value_or(std::vector<std::int64_t>()))
    if (feature < 0)
      throw IndexError(cat("[register_layer] features of ", quote(name), " count from 0; got ", feature));
  options.mask_fn->check(options.sparse_config);
}

nn::Module& ActivationSparsifier::layer_at(const char* op, std::string_view name) const {
  if (nn::Module* layer = nn::fqn_to_module(*model_, name)) return *layer;
  throw ValueError(cat("[", op, "] the model has no layer ", quote(name)));
}

void ActivationSparsifier::attach(nn::Module& layer, Group& group, HookState state) const {
  std::optional<FeatureAxis> axis;
  if (group.options.features) axis = FeatureAxis{*group.options.features, *group.options.feature_dim};
  if (state == HookState::aggregate)
    group.hook =
        layer.register_forward_pre_hook(CollectHook{group.collected, *group.options.aggregate_fn, std::move(axis)});
  else if (state == HookState::sparsify)
    group.hook = layer.register_forward_pre_hook(MaskHook{group.collected->mask, std::move(axis), in_place_});
  group.hook_state = state;
}

void ActivationSparsifier::register_layer(nn::Module& layer, const ActivationOptions& options) {
  const std::string name = path_of("register_layer", *model_, layer);
  Group group;
  group.options = merged(defaults_, options);
  check(name, group.options);
  group.collected = std::make_shared<Collected>();
  if (groups_.contains(name)) {
    warn(cat("[register_layer] ", quote(name), " is registered already, and is registered anew"));
    unregister_layer(name);
  }
  attach(layer, group, HookState::aggregate);
  groups_.set(name, std::move(group));
}

void ActivationSparsifier::unregister_layer(std::string_view name) {
  Group* group = groups_.find(name);
  if (group == nullptr) throw KeyError(cat("[unregister_layer] no layer ", quote(name), " is registered"));
  group->hook.remove();
  groups_.erase(name);
}

const ActivationSparsifier::Group& ActivationSparsifier::found(const char* op, std::string_view name) const {
  if (const Group* group = groups_.find(name)) return *group;
  throw ValueError(cat("[", op, "] no layer ", quote(name), " is registered"));
}

ActivationSparsifier::Mask ActivationSparsifier::get_mask(std::string_view name) const {
  const Mask& mask = found("get_mask", name).collected->mask;
  if (std::holds_alternative<std::monostate>(mask))
    throw ValueError(cat("[get_mask] ", quote(name), " has no mask: no forward pass has reached it"));
  return mask;
}

ActivationSparsifier::Mask ActivationSparsifier::get_mask(const nn::Module& layer) const {
  return get_mask(path_of("get_mask", *model_, layer));
}

ActivationSparsifier::Mask ActivationSparsifier::data(std::string_view name) const {
  const Group& group = found("data", name);
  if (!group.collected->states) return {};
  const NoGrad guard;
  TensorList values;
  for (const TensorList& state : *group.collected->states)
    values.push_back((*group.options.aggregate_fn)->value(state));
  if (group.options.features) return values;
  return values.at(0);
}

void ActivationSparsifier::step() {
  for (const auto& [name, group] : groups_)
    if (!group.collected->states)
      throw StateError(cat("[step] no forward pass has reached ", quote(name), " since the last step"));
  const NoGrad guard;
  std::vector<TensorList> masks;
  for (const auto& [name, group] : groups_) {
    const ActivationOptions& o = group.options;
    TensorList of_group;
    for (const TensorList& state : *group.collected->states) {
      const Tensor reduced = (*o.reduce_fn)((*o.aggregate_fn)->value(state));
      if (!reduced.defined()) throw TypeError(cat("[step] reduce_fn of ", quote(name), " gives no tensor"));
      of_group.push_back((*o.mask_fn)(reduced, o.sparse_config));
    }
    masks.push_back(std::move(of_group));
  }
  std::size_t at = 0;
  for (const auto& [name, group] : groups_) group.collected->take(masks[at++]);
}

void ActivationSparsifier::squash_mask(bool attach_sparsify_hook) {
  if (attach_sparsify_hook)
    for (const auto& [name, group] : groups_) (void)get_mask(name);
  std::vector<nn::Module*> layers;
  for (const auto& [name, group] : groups_) layers.push_back(&layer_at("squash_mask", name));
  std::size_t at = 0;
  for (auto& [name, group] : groups_) {
    group.hook.remove();
    attach(*layers[at++], group, attach_sparsify_hook ? HookState::sparsify : HookState::none);
  }
}

std::vector<std::string> ActivationSparsifier::names() const {
  std::vector<std::string> out;
  for (const auto& [name, group] : groups_) out.push_back(name);
  return out;
}

const ActivationOptions& ActivationSparsifier::group(std::string_view name) const {
  return found("group", name).options;
}

HookState ActivationSparsifier::hook_state(std::string_view name) const { return found("hook_state", name).hook_state; }

}  // namespace coppice::sparsity
