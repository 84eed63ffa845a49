#pragma once
// Arguments as a part of a checkpoint. Private to sparsity.

#include <functional>
#include <string>

#include "coppice/engine/arguments.h"
#include "coppice/sparsity/training/callbacks/checkpoint.h"

namespace coppice::sparsity {

/// A part that holds what `save` gives under `name`: tensors as NAME.…, the rest as a text of the metadata. What a file
/// has there is checked as a state file is (sparsity/state_file.h) before `load` gets it. `keep` is the part's.
[[nodiscard]] Checkpoint::Part state_part(
    std::string name, std::function<Arguments()> save,
    std::function<void(const Arguments&, const TrainContext&, const Limits&)> load,
    std::function<std::function<void()>()> keep);

}  // namespace coppice::sparsity
