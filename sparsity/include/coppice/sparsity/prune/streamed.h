#pragma once
/// Pruning of checkpoints that are larger than the memory.

#include "coppice/engine/tensor.h"
#include "coppice/sparsity/amount.h"

namespace coppice::sparsity::prune {

/// The masks that global_unstructured() by magnitude gives tensors without masks, one per tensor with one bit per entry
/// (nn::pack_bits()): 0 where |value| is among the smallest of all tensors together. For one tensor alone they are
/// those of l1_unstructured().
///
/// The values are read once, and the pages of mapped files in which they stand are given back on the way
/// (forget_pages()), so that beyond the masks about a tenth of the values' bytes as float32 and `window` are held.
/// @param tensors  not written to since they were read, where they stand in mapped files
/// @param window  bytes that are read until pages are given back
/// @throws ValueError  if the amount exceeds the elements; DtypeError  for other types than float32, float16 and
///         bfloat16
/// Ties: the tensor that stands first, in it the lower index. NaN ranks above every number. Same result for any number
/// of threads.
[[nodiscard]] TensorList global_l1_bits(const TensorList& tensors, const Amount& amount,
                                        std::uint64_t window = std::uint64_t{1} << 24);

}  // namespace coppice::sparsity::prune
