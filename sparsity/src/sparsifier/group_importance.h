#pragma once

#include "blocks/importance.h"
#include "coppice/sparsity/sparsifier/group.h"
#include "coppice/sparsity/sparsifier/weight_norm.h"

namespace coppice::sparsity {

/// Of a group's tensor as its mask shows it, or of the dense one.
[[nodiscard]] inline Importance importance_of(const Group& group, bool dense, Importance::Of of) {
  return {dense || group.masked_only() ? group.original() : group.weight(),
          !dense && group.masked_only() ? group.mask() : Tensor(), of};
}
/// The same, under the norm of a sparsifier.
[[nodiscard]] Importance importance_of(const Group& group, bool dense, const ScoreNorm& norm);

}  // namespace coppice::sparsity
