#pragma once
// The greedy choice of 2 of 4 in both directions of a 4x4 tile.

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "kernels/block_cells.h"

namespace coppice::sparsity::kernels {

inline constexpr std::int64_t kTile = 4;

/// 1 for entries that are kept: from the largest score down, of equal ones the lower index first, each whose row and
/// column have fewer than two so far. NaN is larger than every number.
template <class Real>
[[nodiscard]] std::array<std::uint8_t, kTile * kTile> keep_two_of_four(std::span<const Real, kTile * kTile> scores) {
  std::array<std::uint8_t, kTile * kTile> order{}, keep{}, in_row{}, in_col{};
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::uint8_t>(i);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint8_t a, std::uint8_t b) { return ranks_before(scores[b], scores[a]); });
  for (const std::uint8_t at : order) {
    std::uint8_t& row = in_row[at / kTile];
    std::uint8_t& col = in_col[at % kTile];
    if (row == 2 || col == 2) continue;
    ++row;
    ++col;
    keep[at] = 1;
  }
  return keep;
}

}  // namespace coppice::sparsity::kernels
