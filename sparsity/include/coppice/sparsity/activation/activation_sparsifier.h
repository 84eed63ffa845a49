#pragma once
/// Masks for what reaches the layers of a model: its weights stay as they are.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "coppice/engine/ordered_map.h"
#include "coppice/nn/hooks.h"
#include "coppice/nn/module.h"
#include "coppice/sparsity/activation/activation_sparsifier_state.h"

namespace coppice::sparsity {

/// Collects the first input of each registered layer over forward passes, makes masks of it, and multiplies the input
/// by them once squashed:
///
///     mask = mask_fn(reduce_fn(aggregate_fn over the passes), sparse_config)
///
/// Everything happens before the layer computes, in training and in evaluation. Passes between two steps need inputs of
/// one shape where aggregate_fn works element by element: the last, smaller batch of an epoch is refused by it. What is
/// collected is outside any graph.
///
/// The mask of a pass is readable from step() to the next pass, which begins anew: squash right after a step. A reduced
/// mask has no batch axis usually, and then any batch fits.
///
/// A call that throws changes nothing. The model must outlive it; layers are found by their paths, so that one
/// that took another's place, with its hooks, is the one that is masked. When it goes, layers that still collect are
/// freed of it; squashed ones stay masked. Copies of a model share what its hooks have collected. One thread at a time
/// while collecting. Source: torch/ao/pruning/_experimental/activation_sparsifier/activation_sparsifier.py
class ActivationSparsifier {
 public:
  /// Nothing before the first input; one tensor, or one for each feature.
  using Mask = std::variant<std::monostate, Tensor, TensorList>;
  struct Collected;  // of a layer; the hooks share it

  /// @param defaults  of the layers; checked when one is registered
  /// @param in_place  masks of features are written into the layer's input itself, as in PyTorch, which saves a copy
  ///                  and changes what the layer before has given; else into a copy
  explicit ActivationSparsifier(nn::Module& model, ActivationOptions defaults = {}, bool in_place = false);
  ~ActivationSparsifier();
  ActivationSparsifier(const ActivationSparsifier&) = delete;
  ActivationSparsifier& operator=(const ActivationSparsifier&) = delete;

  /// Begins to collect. What `options` set goes over the defaults, its sparse_config key by key. A layer that is
  /// registered already is registered anew, with a warning.
  /// @throws ValueError  if the layer is not in the model, a function is missing, or features have no feature_dim;
  ///         IndexError  for a negative feature; and as MaskFunction::check(). Forward passes throw IndexError for
  ///         a feature or feature_dim that the input has not, and for a call without inputs; ShapeError  for inputs
  ///         that the aggregate does not take.
  void register_layer(nn::Module& layer, const ActivationOptions& options = {});
  /// @throws KeyError  for a name that is not registered
  void unregister_layer(std::string_view name);

  /// The live mask: ones in the shape of the input after the first pass, what mask_fn gave after a step.
  /// @throws ValueError  for a name that is not registered, or a layer that nothing has reached
  [[nodiscard]] Mask get_mask(std::string_view name) const;
  /// @throws ValueError  also if the layer is not in the model
  [[nodiscard]] Mask get_mask(const nn::Module& layer) const;
  /// What was collected since the last step; nothing if no pass came.
  /// @throws ValueError  for a name that is not registered
  [[nodiscard]] Mask data(std::string_view name) const;

  /// Makes the masks, all or none, and forgets what was collected.
  /// @throws StateError  naming a layer that no pass has reached since the last step; and what the functions throw
  void step();
  /// Ends collecting. @param attach_sparsify_hook  multiply the inputs by the masks from here on
  /// @throws ValueError  if a layer to be masked has no mask, or is not in the model any more
  void squash_mask(bool attach_sparsify_hook = true);

  /// Paths in the model, "" for itself, in the order of registration.
  [[nodiscard]] std::vector<std::string> names() const;
  [[nodiscard]] std::size_t size() const { return groups_.size(); }
  /// @throws ValueError  for a name that is not registered
  [[nodiscard]] const ActivationOptions& group(std::string_view name) const;
  [[nodiscard]] HookState hook_state(std::string_view name) const;
  [[nodiscard]] const ActivationOptions& defaults() const { return defaults_; }
  [[nodiscard]] const nn::Module& model() const { return *model_; }

  [[nodiscard]] ActivationSparsifierState state_dict() const;
  /// Takes layers by their paths, settings, masks, and what was collected, and sets the hooks; what was here goes.
  /// @throws ValueError  for a layer that the model has not, a function that is missing, a mask that is missing where
  ///         it is applied, collected tensors that the built-in aggregates and plain functions cannot read; KeyError
  ///         for settings without a mask entry; and as to_dense()
  void load_state_dict(const ActivationSparsifierState& from);

 private:
  friend std::string to_string(const ActivationSparsifier& sparsifier);
  struct Group {
    ActivationOptions options;
    HookState hook_state = HookState::none;
    nn::HookHandle hook;
    std::shared_ptr<Collected> collected;
  };
  [[nodiscard]] const Group& found(const char* op, std::string_view name) const;
  static void check(const std::string& name, const ActivationOptions& options);
  /// The layer that stands at a path now. @throws ValueError  if none does
  [[nodiscard]] nn::Module& layer_at(const char* op, std::string_view name) const;
  void attach(nn::Module& layer, Group& group, HookState state) const;

  nn::Module* model_;
  ActivationOptions defaults_;
  bool in_place_;
  OrderedMap<Group> groups_;
};

/// As PyTorch prints it: the class, and per layer its name and settings but for the functions.
[[nodiscard]] std::string to_string(const ActivationSparsifier& sparsifier);

}  // namespace coppice::sparsity
