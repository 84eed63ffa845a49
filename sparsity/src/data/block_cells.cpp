#include "block_cells.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "coppice/engine/parallel.h"

namespace coppice::sparsity {
namespace {

constexpr std::int64_t kGrain = 1 << 16;  // cells of one task

/// Writes the zeros of one block into the mask.
template <class T>
class BlockCells {
 public:
  BlockCells(const BlockGrid& grid, const CellRule& rule) : grid_(&grid), rule_(&rule) {}

  void prune(const T* data, std::int8_t* mask, std::int64_t down, std::int64_t across) {
    const std::int64_t r0 = down * grid_->height, c0 = across * grid_->width;
    const std::int64_t rows = std::min(grid_->height, grid_->rows - r0);
    const std::int64_t columns = std::min(grid_->width, grid_->columns - c0);
    if (rows == grid_->height && columns == grid_->width && rows * columns <= kSmall && prune_small(data, mask, r0, c0))
      return;
    cells_.clear();
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < columns; ++c) {
        const std::int64_t at = (r0 + r) * grid_->columns + c0 + c;
        cells_.push_back({key(data[at]), r * grid_->width + c, at});
      }
    // Cells that a block at the edge lacks rank as NaN, after the numbers and among NaN by their place in the block.
    const auto numbers = std::partition(cells_.begin(), cells_.end(), [](const Cell& c) { return !std::isnan(c.key); });
    const auto finite = static_cast<std::int64_t>(numbers - cells_.begin());
    if (rule_->zeros < finite) {
      const auto end = cells_.begin() + static_cast<std::ptrdiff_t>(rule_->zeros);
      std::nth_element(cells_.begin(), end, numbers,
                       [](const Cell& a, const Cell& b) { return a.key == b.key ? a.place < b.place : a.key < b.key; });
      for (auto it = cells_.begin(); it != end; ++it) mask[it->at] = 0;
      return;
    }
    const std::int64_t left = rule_->zeros - finite;
    std::int64_t before = 0;  // numbers, in the order of places
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < columns; ++c) {
        const std::int64_t at = (r0 + r) * grid_->columns + c0 + c;
        const bool number = !std::isnan(data[at]);
        if (number || r * grid_->width + c - before < left) mask[at] = 0;
        before += number;
      }
  }

 private:
  using Wide = typename CellNorm<T>::Wide;
  static constexpr std::int64_t kSmall = 16;
  struct Cell {
    Wide key;
    std::int64_t place;  // in the whole block, row by row
    std::int64_t at;     // in the matrix
  };

  /// A whole block of few cells: each counts those that go before it. False, with nothing done, if there is a NaN.
  [[nodiscard]] bool prune_small(const T* data, std::int8_t* mask, std::int64_t r0, std::int64_t c0) const {
    const std::int64_t width = grid_->width, cells = grid_->area();
    Wide keys[kSmall];
    bool numbers = true;
    for (std::int64_t i = 0; i < cells; ++i) {
      keys[i] = key(data[(r0 + i / width) * grid_->columns + c0 + i % width]);
      numbers = numbers && !std::isnan(keys[i]);
    }
    if (!numbers) return false;
    for (std::int64_t i = 0; i < cells; ++i) {
      std::int64_t before = 0;
      for (std::int64_t j = 0; j < cells; ++j) before += keys[j] < keys[i] || (keys[j] == keys[i] && j < i);
      if (before < rule_->zeros) mask[(r0 + i / width) * grid_->columns + c0 + i % width] = 0;
    }
    return true;
  }

  [[nodiscard]] Wide key(T x) const {
    const T plain = rule_->norm == BlockNorm::l1 ? std::abs(x) : x * x;
    if (rule_->rounding == Dtype::f16) return convert<float>(convert<Half>(plain));
    if (rule_->rounding == Dtype::bf16) return convert<float>(convert<BFloat16>(plain));
    const Wide wide = x;
    const bool beyond = rule_->by_size && rule_->norm == BlockNorm::l2 && (plain == 0 || std::isinf(plain));
    return beyond ? wide * wide : Wide{plain};
  }

  const BlockGrid* grid_;
  const CellRule* rule_;
  std::vector<Cell> cells_;
};

template <class T>
void prune(const Tensor& data, Tensor& mask, const Tensor& keep, const BlockGrid& grid, const CellRule& rule) {
  const auto* from = data.data<T>().data();
  auto* const to = mask.mutable_data<std::int8_t>().data();
  const auto* kept = keep.data<std::int8_t>().data();
  const std::int64_t across = grid.across();
  parallel_for(grid.down(), 1 + kGrain / 8 / (std::min(grid.height, grid.rows) * grid.columns), [&](Rows rows) {
    BlockCells<T> cells(grid, rule);
    for (std::int64_t d = rows.begin; d < rows.end; ++d)
      for (std::int64_t b = 0; b < across; ++b)
        if (kept[d * across + b] == 0) cells.prune(from, to, d, b);
  });
}

}  // namespace

void prune_cells(const Tensor& data, Tensor& mask, const Tensor& keep, const BlockGrid& grid, const CellRule& rule) {
  if (data.dtype() == Dtype::f64)
    prune<double>(data, mask, keep, grid, rule);
  else
    prune<float>(data, mask, keep, grid, rule);
}

void spread_blocks(const Tensor& keep, Tensor& mask, const BlockGrid& grid) {
  const auto* kept = keep.data<std::int8_t>().data();
  auto* const to = mask.mutable_data<std::int8_t>().data();
  const std::int64_t across = grid.across();
  const std::int64_t whole = grid.columns / grid.width;
  parallel_for(grid.rows, 1 + kGrain / grid.columns, [&](Rows rows) {
    with_width(grid.width, [&](auto usual) {
      const std::int64_t width = usual != 0 ? usual : grid.width;
      for (std::int64_t r = rows.begin; r < rows.end; ++r) {
        const std::int8_t* block = kept + r / grid.height * across;
        std::int8_t* cell = to + r * grid.columns;
        std::int8_t* const end = cell + grid.columns;
        for (std::int64_t b = 0; b < whole; ++b, cell += width) {
          const std::int8_t keep = *block++;
          for (std::int64_t c = 0; c < width; ++c) cell[c] = keep;
        }
        if (cell != end) std::fill(cell, end, *block);
      }
    });
  });
}

}  // namespace coppice::sparsity
