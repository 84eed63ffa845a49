#include "coppice/sparsity/sparsifier/base.h"

#include <algorithm>
#include <set>

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/nn/masks/masked.h"
#include "coppice/nn/parametrize.h"
#include "sparsifier/placed.h"

namespace coppice::sparsity {
namespace {

/// @throws ValueError  unless `given` has for `key` the text `computed`, or nothing
void check_part(const Arguments& given, std::string_view key, const std::string& computed) {
  if (given.has(key) && given.text(key) != computed)
    throw ValueError(
        cat("[prepare] ", key, " ", quote(given.text(key)), " disagrees with tensor_fqn, whose is ", quote(computed)));
}

/// @throws KeyError, StateError  unless a mask can be put on the tensor
void check_prunable(const Group& group) {
  const nn::Module& module = group.module();
  const std::string& name = group.tensor_name();
  if (!module.find_tensor(name).defined())
    throw KeyError(cat("[prepare] ", module.type_name(), " ", quote(group.module_fqn()), " has no tensor ", quote(name),
                       ", or an empty one"));
  if (nn::is_masked(module, name))
    throw StateError(cat("[prepare] ", quote(group.tensor_fqn()),
                         " is masked by torch.nn.utils.prune; make that mask permanent first"));
  if (!module.own_parameters().contains(name) && !module.own_buffers().contains(name) &&
      !nn::parametrize::is_parametrized(module, name))
    throw KeyError(cat("[prepare] ", quote(group.tensor_fqn()), " is no parameter or buffer"));
}

/// The mask that a group begins with: the one that its settings bring, or ones. What another of `groups` masks with
/// already is copied, since masks are written in place.
Tensor first_mask(Group& group, const std::vector<const Group*>& groups) {
  if (!group.config.has("mask")) return ones(group.weight().shape(), Dtype::boolean);
  const Tensor given = group.config.tensor("mask");
  if (std::ranges::none_of(groups, [&](const Group* other) { return other->mask().shares_storage(given); }))
    return given;
  group.config.set("mask", given.detach().clone());
  return group.config.tensor("mask");
}

}  // namespace

void check_mask(const char* op, const Group& group, const Tensor& mask) {
  const Tensor masked = group.masked_only() ? group.original() : group.weight();  // of the same shape and type
  if (mask.shape() != masked.shape())
    throw ShapeError(
        cat("[", op, "] mask ", mask.shape(), " for ", quote(group.tensor_fqn()), " of shape ", masked.shape()));
  if (promote(mask.dtype(), masked.dtype()) != masked.dtype())
    throw ValueError(cat("[", op, "] a mask of ", mask.dtype(), " would change the type of ", quote(group.tensor_fqn()),
                         ", ", masked.dtype()));
}

BaseSparsifier::BaseSparsifier(const BaseSparsifier& other)
    : enable_mask_update(other.enable_mask_update),
      defaults_(other.defaults_.clone()),
      groups_(other.groups_),
      model_(other.model_),
      step_count_(other.step_count_) {
  for (Group& group : groups_) group.config = group.config.clone();
  for (const auto& [fqn, state] : other.state_) {
    Arguments own = state.clone();
    if (const Argument* mask = state.find("mask")) own.set("mask", *mask);
    state_.set(fqn, std::move(own));
  }
}

SparsifierConfig BaseSparsifier::default_config(const nn::Module& model) const { return make_config_from_model(model); }

Arguments& BaseSparsifier::state(std::string_view tensor_fqn) {
  if (!state_.contains(tensor_fqn)) state_.set(tensor_fqn, {});
  return *state_.find(tensor_fqn);
}

const Group* BaseSparsifier::find_group(const nn::Module& module, std::string_view tensor_name) const {
  const auto it = std::ranges::find_if(
      groups_, [&](const Group& group) { return &group.module() == &module && group.tensor_name() == tensor_name; });
  return it == groups_.end() ? nullptr : &*it;
}

Group BaseSparsifier::new_group(const nn::ModulePtr& model, const Arguments& element) const {
  if (!element.has("tensor_fqn")) throw ValueError("[prepare] an element of the config has no tensor_fqn");
  std::string fqn = element.text("tensor_fqn");
  if (fqn.starts_with('.')) fqn.erase(0, 1);
  const nn::TensorFqn tensor = nn::get_arg_info_from_tensor_fqn(*model, fqn);
  check_part(element, "module_fqn", tensor.module_fqn);
  check_part(element, "tensor_name", tensor.tensor_name);
  Arguments settings = defaults_.clone();
  for (const auto& [key, value] : element)
    if (key != "module_fqn" && key != "tensor_name") settings.set(key, value);
  settings.set("tensor_fqn", fqn);
  Group group(tensor, std::move(settings));
  check_prunable(group);
  if (group.config.has("mask")) check_mask("prepare", group, group.config.tensor("mask"));
  if (group.config.has("parametrization")) (void)group.config.function<MaskParametrization>("parametrization");
  placed(group, [&] { check_config(group); });
  return group;
}

void BaseSparsifier::prepare(const nn::ModulePtr& model) {
  if (model == nullptr) throw ValueError("[prepare] the model is null");
  prepare(model, default_config(*model));
}

void BaseSparsifier::prepare(const nn::ModulePtr& model, const SparsifierConfig& config) {
  if (model == nullptr) throw ValueError("[prepare] the model is null");
  const bool elsewhere = model_ != nullptr && model != model_;
  if (elsewhere && std::ranges::any_of(groups_, &Group::attached))
    throw StateError("[prepare] the masks of this sparsifier stand on another model; call squash_mask() first");

  std::vector<Group> fresh;
  std::set<std::pair<const nn::Module*, std::string>> taken;
  for (const Arguments& element : config) {
    Group group = new_group(model, element);
    const Group* old = find_group(group.module(), group.tensor_name());
    if (!taken.emplace(&group.module(), group.tensor_name()).second || (old != nullptr && old->attached()))
      throw ValueError(cat("[prepare] ", quote(group.tensor_fqn()), " is prepared twice"));
    fresh.push_back(std::move(group));
  }

  std::vector<Group> groups;
  OrderedMap<Arguments> state;
  if (!elsewhere) {
    state = state_;
    for (const Group& group : groups_)
      if (!taken.contains({&group.module(), group.tensor_name()})) groups.push_back(group);
  }
  groups.reserve(groups.size() + fresh.size());
  std::vector<const Group*> masked;
  for (const Group& group : groups)
    if (group.attached()) masked.push_back(&group);
  std::size_t done = 0, told = 0;
  try {
    for (; done < fresh.size(); ++done) {
      Group& group = fresh[done];
      const Tensor mask = first_mask(group, masked);
      Arguments known;
      known.set("mask", mask);
      state.set(group.tensor_fqn(), std::move(known));
      group.attach(mask);
      masked.push_back(&group);
    }
    for (; told < fresh.size(); ++told) on_prepared(fresh[told]);
  } catch (...) {
    for (std::size_t i = 0; i < done; ++i) fresh[i].release();
    for (std::size_t i = 0; i < told; ++i) on_squashed(fresh[i]);
    throw;
  }
  for (Group& group : fresh) groups.push_back(std::move(group));
  groups_ = std::move(groups);
  state_ = std::move(state);
  model_ = model;
}

void BaseSparsifier::step() {
  if (!enable_mask_update) {
    ++step_count_;
    return;
  }
  const NoGrad guard;
  for (const Group& group : groups_) {
    if (!group.attached())
      throw StateError(cat("[step] ", quote(group.tensor_fqn()), " has no mask any more; call prepare() first"));
    check_mask("step", group, group.mask());
    placed(group, [&] {
      check_config(group);
      check_tensor(group);
    });
  }
  update_masks(groups_);
  ++step_count_;
}

void BaseSparsifier::update_masks(std::vector<Group>& groups) {
  for (Group& group : groups) placed(group, [&] { update_mask(group); });
}

OrderedMap<Arguments> BaseSparsifier::squash_mask(const Names& params_to_keep,
                                                  const std::map<std::string, Names>& params_to_keep_per_layer) {
  for (const auto& [layer, names] : params_to_keep_per_layer)
    if (std::ranges::find(groups_, layer, &Group::module_fqn) == groups_.end())
      throw KeyError(cat("[squash_mask] params_to_keep_per_layer: no prepared module ", quote(layer)));
  OrderedMap<Arguments> kept;
  for (const Group& group : groups_) {
    if (!group.attached())
      throw StateError(cat("[squash_mask] ", quote(group.tensor_fqn()), " has no mask any more; call prepare() first"));
    Names names = params_to_keep;
    if (const auto it = params_to_keep_per_layer.find(group.module_fqn()); it != params_to_keep_per_layer.end())
      names.insert(names.end(), it->second.begin(), it->second.end());
    Arguments values;
    for (const std::string& name : names) {
      if (name == "module_fqn" || name == "tensor_name") {
        values.set(name, name == "module_fqn" ? group.module_fqn() : group.tensor_name());
        continue;
      }
      const Argument* value = group.config.find(name);
      if (value == nullptr)
        throw KeyError(cat("[squash_mask] the group of ", quote(group.tensor_fqn()), " has no ", quote(name)));
      values.set(name, *value);
    }
    if (!values.empty()) kept.set(group.module_fqn(), values.clone());
  }
  for (Group& group : groups_) {
    nn::parametrize::remove_parametrizations(group.module(), group.tensor_name());
    on_squashed(group);
  }
  return kept;
}

std::string to_string(const BaseSparsifier& sparsifier) {
  std::string out = cat(sparsifier.type_name(), " (");
  for (std::size_t i = 0; i < sparsifier.groups().size(); ++i) {
    const Group& group = sparsifier.groups()[i];
    std::map<std::string, std::string> lines{{"module_fqn", group.module_fqn()}, {"tensor_name", group.tensor_name()}};
    for (const auto& [key, value] : group.config) {
      const auto* text = std::get_if<std::string>(&value);
      lines[key] = text != nullptr ? *text : to_string(value);
    }
    out += cat("\n\tGroup ", i, "\n\t    module: ", group.module().describe(), "\n");
    for (const auto& [key, value] : lines) out += cat("\t    ", key, ": ", value, "\n");
  }
  return out + ")";
}

}  // namespace coppice::sparsity
