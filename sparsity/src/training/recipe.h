#pragma once
// What a run of fine-tuning depends on. Private to sparsity.

#include <string>

#include "coppice/sparsity/training/finetune.h"

namespace coppice::sparsity {

/// Options, and fingerprints of the model's tensors, of its modules (types, settings, names, what is frozen) and of the
/// data, as JSON: what a run depends on beside its state.
[[nodiscard]] std::string recipe_of(const nn::Module& model, const Dataset& data, const FinetuneOptions& options);

}  // namespace coppice::sparsity
