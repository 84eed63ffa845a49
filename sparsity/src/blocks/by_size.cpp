#include "blocks/by_size.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "coppice/engine/create.h"
#include "kernels/block_cells.h"

namespace coppice::sparsity {
namespace {

/// Mean square of one block.
template <class Real>
Wide<Real> mean_square(const Importance& sizes, const Grid& grid, std::int64_t block, std::vector<Real>& row) {
  const Rows rows = grid.rows_of(block / grid.across);
  const Rows cols = grid.cols_of({block % grid.across, block % grid.across + 1});
  row.resize(static_cast<std::size_t>(cols.size()));
  Wide<Real> sum = 0;
  for (std::int64_t r = rows.begin; r < rows.end; ++r) {
    sizes.read(r * grid.cols + cols.begin, std::span<Real>(row));
    for (const Wide<Real> x : row) sum += x * x;
  }
  return sum / static_cast<Wide<Real>>(rows.size() * cols.size());
}

}  // namespace

template <class Real>
Tensor keep_by_size(const Importance& squares, const Grid& grid, const Tensor& scores, std::int64_t count) {
  const std::span<const Real> plain = scores.data<Real>();
  std::vector<Wide<Real>> keys(plain.begin(), plain.end());
  const Importance sizes = squares.magnitudes();
  std::vector<Real> row;
  for (std::size_t b = 0; b < keys.size(); ++b)
    if (left_the_range(plain[b])) keys[b] = mean_square(sizes, grid, static_cast<std::int64_t>(b), row);

  std::vector<std::int64_t> order(keys.size());
  std::iota(order.begin(), order.end(), 0);
  const auto middle = order.begin() + static_cast<std::ptrdiff_t>(count);
  const auto before = [&](std::int64_t a, std::int64_t b) {
    const auto x = keys[static_cast<std::size_t>(a)], y = keys[static_cast<std::size_t>(b)];
    return kernels::ranks_before(x, y) || (!kernels::ranks_before(y, x) && a < b);
  };
  if (middle != order.end()) std::nth_element(order.begin(), middle, order.end(), before);
  Tensor keep = ones({grid.blocks()}, Dtype::i8);
  const auto mask = keep.mutable_data<std::int8_t>();
  for (auto it = order.begin(); it != middle; ++it) mask[static_cast<std::size_t>(*it)] = 0;
  return keep;
}
template Tensor keep_by_size<float>(const Importance&, const Grid&, const Tensor&, std::int64_t);
template Tensor keep_by_size<double>(const Importance&, const Grid&, const Tensor&, std::int64_t);

}  // namespace coppice::sparsity
