#pragma once

#include "coppice/sparsity/sparsifier/weight_norm.h"
#include "sparsifier/importance.h"

namespace coppice::sparsity {

/// Of a group's tensor as its mask shows it, or of the dense one, under a norm.
[[nodiscard]] Importance importance_of(const Group& group, bool dense, const ScoreNorm& norm);

}  // namespace coppice::sparsity
