#pragma once
/// Tensors that stand in several places: one storage, one mask.

#include <vector>

#include "coppice/sparsity/prunables.h"

namespace coppice::sparsity {

/// The memory of a parameter itself, not of what its mask leaves. Parameters without entries have none of their own.
[[nodiscard]] const void* memory_of(const Prunable& parameter);

/// Those of `all` that show the same memory as the same shape and type under the same mask, if any, two or more in a
/// group, in their order: tied weights. Parameters without entries are in none.
[[nodiscard]] std::vector<std::vector<Prunable>> tied_groups(const std::vector<Prunable>& all);

/// Gives the mask of the first of a group to the others: the same tensor of zeros and ones. Nothing if it has none.
/// @throws KeyError  if X_orig or X_mask is taken in one of the modules; what came before it in the group has the mask
void share_mask(const std::vector<Prunable>& group);

/// Makes the others of a group show the numbers of the first again, which burning masks in has parted: the tensors stay
/// which they are. The group must have been one before, and its masks gone since.
void tie(const std::vector<Prunable>& group);

}  // namespace coppice::sparsity
