#pragma once
// Originals under masks as model files hold them: the kept values alone. Private to nn.

#include <string_view>

#include "coppice/engine/io/budget.h"
#include "coppice/nn/module.h"

namespace coppice::nn {

/// Masks one upon the other that a file may hold: reading a tensor goes through all of them.
inline constexpr std::size_t kMostMasks = 8;

/// How many masks of `module` stand between its tensor `name` and the one that it reads: 2 for weight_orig_orig.
[[nodiscard]] std::size_t masks_on(const Module& module, std::string_view name);

/// Whether the file may leave out what the mask of `name` (an original, "weight_orig") removes: the mask is of zeros
/// and ones, something is removed, and every removed value is finite (infinity and NaN times 0 are NaN).
[[nodiscard]] bool can_drop_masked(const Module& module, std::string_view name);

/// The values of that original under the ones of its mask in row-major order, [number of ones].
[[nodiscard]] Tensor kept_values(const Module& module, std::string_view name);

/// Puts kept values back into slots of `module` whose tensor in the file is shorter than the slot: where the mask of
/// the module is 0 the original becomes 0.
/// @param name   of an original, "weight_orig"
/// @param given  what the file has under that name
/// @param budget what memory there is for it
/// @return       `given`, or a tensor of the shape of the slot made from it; what fits neither is returned as it is
/// @throws LimitError
[[nodiscard]] Tensor with_masked_zeros(const Module& module, std::string_view name, const Tensor& given,
                                       MemoryBudget& budget);

}  // namespace coppice::nn
