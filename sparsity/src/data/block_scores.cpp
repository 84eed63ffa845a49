#include "block_scores.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "coppice/engine/create.h"
#include "coppice/engine/ops/select.h"
#include "coppice/engine/parallel.h"

namespace coppice::sparsity {
namespace {

constexpr std::int64_t kGrain = 1 << 16;  // elements of one task: 20 µs

/// Adds the norms of some rows of one row of blocks to `sums`, one per block, each in row-major order.
template <class T, class Norm>
void add_rows(const T* data, const BlockGrid& grid, Rows rows, T* sums, Norm norm) {
  const std::int64_t whole = grid.columns / grid.width;
  with_width(grid.width, [&](auto usual) {
    const std::int64_t width = usual != 0 ? usual : grid.width;
    for (std::int64_t r = rows.begin; r < rows.end; ++r) {
      const T* row = data + r * grid.columns;
      for (std::int64_t b = 0; b < whole; ++b, row += width) {
        T sum = sums[b];
        for (std::int64_t c = 0; c < width; ++c) sum += norm(row[c]);
        sums[b] = sum;
      }
      for (std::int64_t c = whole * width; c < grid.columns; ++c) sums[whole] += norm(*row++);
    }
  });
}

/// Cells of block `b` of the row of blocks that has `rows` rows.
std::int64_t cells(const BlockGrid& grid, std::int64_t rows, std::int64_t b) {
  return rows * std::min(grid.width, grid.columns - b * grid.width);
}

template <class T>
void scores_of(const T* data, const BlockGrid& grid, BlockNorm norm, Dtype rounding, T* scores) {
  const std::int64_t across = grid.across();
  const std::int64_t in_block_row = std::min(grid.height, grid.rows) * grid.columns;
  const auto rounded = [rounding](T x) {
    if (rounding == Dtype::f16) return convert<T>(convert<Half>(x));
    if (rounding == Dtype::bf16) return convert<T>(convert<BFloat16>(x));
    return x;
  };
  const bool narrow = rounding == Dtype::f16 || rounding == Dtype::bf16;
  parallel_for(grid.down(), 1 + kGrain / in_block_row, [&](Rows block_rows) {
    for (std::int64_t d = block_rows.begin; d < block_rows.end; ++d) {
      const Rows rows{d * grid.height, d * grid.height + std::min(grid.height, grid.rows - d * grid.height)};
      T* const sums = scores + d * across;
      std::fill_n(sums, across, T{});
      if (narrow)
        add_rows(data, grid, rows, sums, [&](T x) { return rounded(norm == BlockNorm::l1 ? std::abs(x) : x * x); });
      else if (norm == BlockNorm::l1)
        add_rows(data, grid, rows, sums, [](T x) { return std::abs(x); });
      else
        add_rows(data, grid, rows, sums, [](T x) { return x * x; });
      for (std::int64_t b = 0; b < across; ++b)
        sums[b] = rounded(sums[b] / static_cast<T>(cells(grid, rows.size(), b)));
    }
  });
}

/// The scores with those that overflowed or vanished computed exactly enough to rank them.
template <class T>
std::vector<typename CellNorm<T>::Wide> wide_scores(const T* data, std::span<const T> scores, const BlockGrid& grid) {
  using Wide = typename CellNorm<T>::Wide;
  std::vector<Wide> out(scores.begin(), scores.end());
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (scores[i] != 0 && !std::isinf(scores[i])) continue;
    const auto down = static_cast<std::int64_t>(i) / grid.across(),
               across = static_cast<std::int64_t>(i) % grid.across();
    const std::int64_t r0 = down * grid.height, rows = std::min(grid.height, grid.rows - r0);
    const std::int64_t c0 = across * grid.width, columns = std::min(grid.width, grid.columns - c0);
    Wide sum = 0;
    for (std::int64_t r = r0; r < r0 + rows; ++r)
      for (std::int64_t c = c0; c < c0 + columns; ++c) {
        const Wide x = data[r * grid.columns + c];
        sum += x * x;
      }
    out[i] = sum / static_cast<Wide>(rows * columns);
  }
  return out;
}

template <class Wide>
Tensor lowest_of(const std::vector<Wide>& keys, std::int64_t count) {
  std::vector<std::int64_t> order(keys.size());
  std::iota(order.begin(), order.end(), 0);
  const auto before = [&](std::int64_t a, std::int64_t b) {
    const Wide x = keys[static_cast<std::size_t>(a)], y = keys[static_cast<std::size_t>(b)];
    if (std::isnan(x) || std::isnan(y)) return std::isnan(x) == std::isnan(y) ? a < b : std::isnan(y);
    return x == y ? a < b : x < y;
  };
  const auto middle = order.begin() + static_cast<std::ptrdiff_t>(count);
  if (middle != order.end()) std::nth_element(order.begin(), middle, order.end(), before);
  Tensor keep = ones({static_cast<std::int64_t>(keys.size())}, Dtype::i8);
  const auto mask = keep.mutable_data<std::int8_t>();
  for (auto it = order.begin(); it != middle; ++it) mask[static_cast<std::size_t>(*it)] = 0;
  return keep;
}

template <class T>
bool some_left_the_range(std::span<const T> scores) {
  return std::ranges::any_of(scores, [](T s) { return s == 0 || std::isinf(s); });
}

}  // namespace

Tensor block_scores(const Tensor& data, const BlockGrid& grid, BlockNorm norm, Dtype rounding) {
  Tensor out = Tensor::empty({grid.blocks()}, data.dtype());
  if (out.numel() == 0) return out;
  if (data.dtype() == Dtype::f64)
    scores_of(data.data<double>().data(), grid, norm, rounding, out.mutable_data<double>().data());
  else
    scores_of(data.data<float>().data(), grid, norm, rounding, out.mutable_data<float>().data());
  return out;
}

Tensor lowest_blocks(const Tensor& data, const Tensor& scores, const BlockGrid& grid, BlockNorm norm,
                     std::int64_t count, bool by_size) {
  if (norm == BlockNorm::l2 && by_size) {
    if (scores.dtype() == Dtype::f64 && some_left_the_range(scores.data<double>()))
      return lowest_of(wide_scores(data.data<double>().data(), scores.data<double>(), grid), count);
    if (scores.dtype() == Dtype::f32 && some_left_the_range(scores.data<float>()))
      return lowest_of(wide_scores(data.data<float>().data(), scores.data<float>(), grid), count);
  }
  return select_masks({scores}, {.count = count, .magnitude = false, .ties = TieRule::lowest_index}, {}, Dtype::i8)[0];
}

}  // namespace coppice::sparsity
