#pragma once
// Scores of blocks: the mean importance of the cells that each has. Private to sparsity.

#include "blocks/grid.h"
#include "blocks/importance.h"
#include "coppice/engine/score_stream.h"

namespace coppice::sparsity {

/// Scores of blocks first .. first + n. Sums run row by row in Real, one division follows.
template <class Real>
void block_scores(const Importance& a, const Grid& grid, std::int64_t first, std::int64_t n, Real* out);

/// Those of all blocks, [blocks], in the type of Real. Equal for any number of threads.
template <class Real>
[[nodiscard]] Tensor all_block_scores(const Importance& a, const Grid& grid);

}  // namespace coppice::sparsity
