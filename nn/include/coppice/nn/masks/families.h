#pragma once
/// Masks of both families in one list: X_orig and X_mask of torch.nn.utils.prune, FakeSparsity of torch.ao.pruning.

#include <cstdint>
#include <string_view>
#include <vector>

#include "coppice/engine/io/named_tensors.h"
#include "coppice/nn/masks/masked.h"

namespace coppice::nn {

/// All masked tensors of a tree, of both families, in the order of its modules: as masked_slots(), and those of which
/// FakeSparsity is the first parametrization. The masks may be written in place.
[[nodiscard]] std::vector<MaskedSlot> masks_in(Module& root);

/// What the mask of a slot is applied to, as it is now: another tensor than MaskedSlot::original where that is masked
/// or parametrized itself, and so computed on every reading.
/// @throws KeyError, ValueError  if the tensor is not masked in this way any more
[[nodiscard]] Tensor original_now(const MaskedSlot& slot);

/// Whether the tensor `name` of `list` is what a FakeSparsity masks: "original" of a ParametrizationList.
[[nodiscard]] bool is_fake_original(const Module& list, std::string_view name);

/// Masks the parameters of a model as a checkpoint has them masked, so that load_state_dict() finds the same names:
/// by X_mask, or by a FakeSparsity. A floating mask gets the type of its parameter. Masks of other shapes than the
/// parameters' are left to load_state_dict(), which lists them.
/// @return  how many
/// @throws KeyError  if a name that masking needs (X_orig, X_mask, parametrizations) is taken; the masks before it, in
///         the order of modules and parameters, are attached then
std::int64_t attach_masks_of(Module& root, const NamedTensors& tensors);

/// Makes plain parameters of all masked ones, with the values that they have. What is parametrized by more than a
/// FakeSparsity stays, and so does a FakeSparsity on a buffer.
/// @throws ShapeError  if a mask has not the shape of its original; what was burnt in before it stays so
void burn_in_masks(Module& root);

/// Makes X_orig and X_mask of every FakeSparsity that is the only parametrization of a parameter: the values, the
/// original as tensor object and the mask stay the same.
/// @throws KeyError  if X_orig or X_mask is taken; ShapeError  if a mask has not the shape of its original; nothing
///         has changed then.
/// If memory runs out, each tensor is masked in the one way or the other.
void take_fake_masks(Module& root);

}  // namespace coppice::nn
