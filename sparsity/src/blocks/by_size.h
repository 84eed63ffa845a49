#pragma once
// Squares that overflow or vanish ranked by the size of their numbers, instead of being equal. Private to sparsity.

#include <cmath>

#include "blocks/grid.h"
#include "blocks/importance.h"
#include "coppice/engine/tensor.h"

namespace coppice::sparsity {

/// The square of every Real, but for doubles at the very ends.
template <class Real>
using Wide = std::conditional_t<std::is_same_v<Real, float>, double, long double>;

template <class Real>
[[nodiscard]] bool left_the_range(Real square) {
  return square == 0 || std::isinf(square);
}

/// Whether a cut among the scores of blocks of up to `cells` cells is what it would be with scores of unlimited range:
/// those that vanished are below it, and those that overflowed above.
[[nodiscard]] inline bool far_from_the_ends(float cut, std::int64_t cells) {
  return cut > std::numeric_limits<float>::min() &&
         cut < std::numeric_limits<float>::max() / 2 / static_cast<float>(cells);
}

/// int8 [blocks]: 0 for the `count` blocks of lowest score, where scores that vanished or overflowed are computed
/// exactly enough to rank them; ties and NaN as elsewhere. Takes far more time and memory than a selection by scores.
template <class Real>
[[nodiscard]] Tensor keep_by_size(const Importance& squares, const Grid& grid, const Tensor& scores,
                                  std::int64_t count);

}  // namespace coppice::sparsity
