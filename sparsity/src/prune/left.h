#pragma once
/// Pruning by magnitude of what earlier prunings left, over tensors as they stand.

#include <optional>
#include <span>

#include "coppice/sparsity/prune/unstructured.h"

namespace coppice::sparsity::prune {

/// One tensor among those that are ranked together.
struct Ranked {
  Tensor scores;
  Tensor mask;  ///< so far, as many elements; undefined: ones
  Shape shape;  ///< of the result
  Dtype dtype = Dtype::f32;
};

/// The masks that combine() would give for all of them joined, without joining them: extra memory at most 1/20 of the
/// scores. Integers among floats rank as torch.cat would have them: converted.
/// Nothing if a mask so far holds other numbers than 0 and 1. @throws ValueError  if a count exceeds what is left
[[nodiscard]] std::optional<TensorList> prune_left(const L1Unstructured& method, std::span<const Ranked> all);

}  // namespace coppice::sparsity::prune
