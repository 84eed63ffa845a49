#pragma once
// The report of a run as tensors of a checkpoint. Private to sparsity.

#include "coppice/engine/checked.h"
#include "coppice/sparsity/training/callbacks/best_epoch.h"
#include "coppice/sparsity/training/callbacks/checkpoint.h"

namespace coppice::sparsity {

/// "report", and "best.…" if there is a best epoch.
/// @param steps   of an epoch
/// @param epochs  of the run, the most that a file may report
/// @param path    of the file, for messages
[[nodiscard]] Checkpoint::Part part_of(std::shared_ptr<BestEpoch> best, std::int64_t steps, std::int64_t epochs,
                                       const std::filesystem::path& path);

}  // namespace coppice::sparsity
