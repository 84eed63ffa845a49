#pragma once
// A run of fine-tuning on disk: weights, masks, optimiser, best epoch, position in the schedule and random state
// together, in one safetensors file with checksums. Private to sparsity.

#include <filesystem>
#include <string>

#include "training_run.h"

namespace coppice::sparsity {

/// What a run depends on beside its state: options, and fingerprints of the model's tensors, of its modules (types,
/// settings, names, what is frozen) and of the data, as JSON.
[[nodiscard]] std::string recipe_of(const nn::Module& model, const Dataset& data, const FinetuneOptions& options);

/// Atomic. @throws IoError
void save_checkpoint(const std::filesystem::path& path, const std::string& recipe, TrainingRun& run);

/// Puts `run` where the one was that wrote the file; the default generator, from which dropout draws, as well.
/// @throws FormatError  for a damaged or incomplete file, one of a newer format, or one of another recipe (naming the
///         setting that differs); LimitError, IoError
void resume_checkpoint(const std::filesystem::path& path, const std::string& recipe, std::int64_t epochs,
                       ReadOptions options, TrainingRun& run);

}  // namespace coppice::sparsity
