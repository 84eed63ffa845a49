#pragma once
/// The base of all sparsifiers: groups, life cycle and state. A sparsifier of one's own adds one function.

#include <concepts>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "coppice/engine/ordered_map.h"
#include "coppice/sparsity/sparsifier/config.h"
#include "coppice/sparsity/sparsifier/group.h"

namespace coppice::sparsity {

/// Attaches masks to the tensors of a model (prepare), decides them anew (step), and burns them in (squash_mask).
/// Weights stay dense behind their masks until then, and train so.
///
/// Derived classes write update_mask(). Errors that come out of it, and out of the checks, name the tensor.
/// Unlike PyTorch, a call that is refused changes nothing; of step() that is said there.
/// Source: torch/ao/pruning/sparsifier/base_sparsifier.py, BaseSparsifier
class BaseSparsifier {
 public:
  using Names = std::vector<std::string>;

  virtual ~BaseSparsifier() = default;
  BaseSparsifier& operator=(const BaseSparsifier&) = delete;
  /// The class name in texts.
  [[nodiscard]] virtual std::string_view type_name() const { return "Sparsifier"; }

  /// Puts masks of ones on the weights that make_config_from_model() lists; or on the tensors of `config`, whose
  /// masks begin as they say. Masks are of bool unless `config` brings one: it becomes the mask, or a copy does where
  /// another tensor has it already. Further calls add tensors of the same model; a tensor that was squashed may be
  /// prepared again.
  /// @throws ValueError  if an element has no "tensor_fqn", or "module_fqn" or "tensor_name" that disagree with it, or
  ///         names a tensor that this sparsifier has already; ShapeError, ValueError  for a mask that does not fit;
  ///         KeyError  for an unknown or empty tensor; StateError  if masks stand on another model, or the tensor is
  ///         masked by torch.nn.utils.prune; and what check_config() throws
  void prepare(const nn::ModulePtr& model);
  void prepare(const nn::ModulePtr& model, const SparsifierConfig& config);

  /// Decides all masks anew, in the order of the groups, without recording gradients. Does nothing, but for counting,
  /// while enable_mask_update is off. @throws StateError  after squash_mask(); and what the checks throw, with no mask
  /// changed. Behind them only the update_mask() of a class of one's own can fail: it leaves the masks that it wrote.
  void step();

  /// Burns all masks in, with whatever else parametrizes these tensors: plain parameters again, the same tensor
  /// objects. Groups and state stay.
  /// @param params_to_keep  keys of the groups' settings, "module_fqn" and "tensor_name" to give back for every module
  /// @param params_to_keep_per_layer  further keys, by module_fqn
  /// @return  module_fqn -> those settings; modules without any are not listed
  /// @throws StateError  if it was done already; KeyError  for a key that a group has not, or a module without a group
  OrderedMap<Arguments> squash_mask(const Names& params_to_keep = {},
                                    const std::map<std::string, Names>& params_to_keep_per_layer = {});

  /// A copy of state and groups: {"state": {tensor_fqn: {"mask", …}}, "groups": {"0": {"tensor_fqn", …}, …}}.
  [[nodiscard]] Arguments state_dict() const;
  /// Takes state and groups over, as copies. Groups that `state` does not list lose their masks, and their weights are
  /// dense again.
  /// @param strict  otherwise tensors that the model lacks, or that are not prepared, are left out
  /// @return  the tensors left out
  /// @throws StateError  before prepare(), and for a tensor that is not prepared; KeyError  for a module or tensor
  ///         that the model lacks; ShapeError, ValueError  for a mask that does not fit, whether strict or not;
  ///         ValueError, TypeError, KeyError  for what is no such state
  Names load_state_dict(const Arguments& state, bool strict = true);
  /// From now on works on `model`, which has the same tensors under FakeSparsity: a clone of the present one, or what
  /// a file brought back. @throws KeyError, StateError  if a group's tensor is not there, or not masked
  void attach(const nn::ModulePtr& model);

  /// A copy that works on `model`, a clone of the present one: masks, settings, state and what a class knows of its own
  /// are separate. @throws as attach(); NotSupported  for a class that does not say how it is copied
  [[nodiscard]] std::unique_ptr<BaseSparsifier> clone_onto(const nn::ModulePtr& model) const;

  [[nodiscard]] const Arguments& defaults() const { return defaults_; }
  [[nodiscard]] const std::vector<Group>& groups() const { return groups_; }
  [[nodiscard]] std::vector<Group>& groups() { return groups_; }
  /// What is known of a tensor, "mask" among it, which is the mask itself; made empty where there is nothing.
  [[nodiscard]] Arguments& state(std::string_view tensor_fqn);
  [[nodiscard]] const OrderedMap<Arguments>& state() const { return state_; }
  /// Null before prepare().
  [[nodiscard]] const nn::ModulePtr& model() const { return model_; }

  /// Steps since this was made, or since a scheduler reset the count.
  [[nodiscard]] std::int64_t step_count() const { return step_count_; }
  void reset_step_count() { step_count_ = 0; }

  bool enable_mask_update = true;

 protected:
  explicit BaseSparsifier(Arguments defaults = {}) : defaults_(std::move(defaults)) {}
  /// Works on the same masks; settings and state are its own. See cloned_onto().
  BaseSparsifier(const BaseSparsifier& other);

  /// For clone_onto(): `return std::make_unique<Mine>(*this);`
  [[nodiscard]] virtual std::unique_ptr<BaseSparsifier> copy() const;
  /// What prepare(model) prepares.
  [[nodiscard]] virtual SparsifierConfig default_config(const nn::Module& model) const;
  /// Refuses settings of a group: called by prepare(), load_state_dict() and, for all groups, before a step.
  virtual void check_config(const Group& /*group*/) const {}
  /// Refuses a tensor that the settings do not fit: called for all groups before a step.
  virtual void check_tensor(const Group& /*group*/) const {}
  /// Writes group.mask() in place. Called with grad mode off.
  virtual void update_mask(Group& group) = 0;
  /// What a step does when all is checked: update_mask() of each group, unless their tensors are chosen together.
  virtual void update_masks(std::vector<Group>& groups);
  /// Called for each group that has come to its mask, by prepare() or attach(), and for each that has lost it, also
  /// where prepare() fails later on.
  virtual void on_prepared(Group& /*group*/) {}
  virtual void on_squashed(Group& /*group*/) {}

 private:
  [[nodiscard]] Group new_group(const nn::ModulePtr& model, const Arguments& element) const;
  [[nodiscard]] const Group* find_group(const nn::Module& module, std::string_view tensor_name) const;

  Arguments defaults_;
  OrderedMap<Arguments> state_;
  std::vector<Group> groups_;
  nn::ModulePtr model_;
  std::int64_t step_count_ = 0;
};

/// Class name, groups and their settings, as PyTorch prints a sparsifier.
[[nodiscard]] std::string to_string(const BaseSparsifier& sparsifier);

/// A copy of a sparsifier that works on `model`, a clone of its own model: masks, settings and state are separate.
/// @throws as BaseSparsifier::attach
template <std::derived_from<BaseSparsifier> Sparsifier>
[[nodiscard]] Sparsifier cloned_onto(const Sparsifier& sparsifier, const nn::ModulePtr& model) {
  Sparsifier out(sparsifier);
  out.attach(model);
  return out;
}

}  // namespace coppice::sparsity
