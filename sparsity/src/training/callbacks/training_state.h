#pragma once
// What a training needs to go on, as tensors. Private to sparsity.

#include <vector>

#include "coppice/sparsity/training/callbacks/checkpoint.h"

namespace coppice::sparsity {

/// The model's tensors, the parts, the optimiser, both random states and the step. Values share the live storage.
[[nodiscard]] NamedTensors save_training(const TrainContext& context, const std::vector<Checkpoint::Part>& parts);
/// Puts a training where `all` was saved, or leaves it as it was, but for parts without `keep`.
/// @param limits  what parts may spend on what they read
/// @throws KeyError, ShapeError, DtypeError, ValueError  for what does not fit; and what parts throw; StateError  where
///         the present state could not be put back
void load_training(const NamedTensors& all, TrainContext& context, const std::vector<Checkpoint::Part>& parts,
                   const Limits& limits = {});

}  // namespace coppice::sparsity
