#include "norm_mask.h"

#include <algorithm>
#include <cmath>

#include "coppice/engine/checked.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/select.h"
#include "coppice/engine/parallel.h"

namespace coppice::sparsity {
namespace {

constexpr std::int64_t kGrain = 1 << 16;  // cells of one task

/// Sizes without those that are 1. @throws ShapeError
BlockGrid grid_of(const Tensor& data, const NormMaskRequest& request, const std::string& what) {
  std::vector<std::int64_t> sizes;
  for (const std::int64_t size : data.shape())
    if (size != 1) sizes.push_back(size);
  if (sizes.size() > 2)
    throw ShapeError(cat("[DataNormSparsifier] ", what,
                         " must be a matrix, or have at most two axes other than those "
                         "of size 1; got shape ",
                         data.shape()));
  while (sizes.size() < 2) sizes.insert(sizes.begin(), 1);
  return {sizes[0], sizes[1], request.height, request.width};
}

/// How many of `blocks` are pruned.
std::int64_t count_of(const NormMaskRequest& request, std::int64_t blocks) {
  const auto all = static_cast<double>(blocks);
  const double level = std::clamp(request.level, request.compat ? -1.0 : 0.0, 1.0);
  const auto k = static_cast<std::int64_t>(std::nearbyint(level * all));  // half to even, as Python's round
  return k < 0 ? blocks + k : k;
}

/// Floats to rank by: 16-bit and small integer types as float32, larger ones as float64.
Tensor ranked(const Tensor& data) {
  switch (data.dtype()) {
    case Dtype::f64:
    case Dtype::i32:
    case Dtype::i64: return data.detach().to(Dtype::f64);
    default: return data.detach().to(Dtype::f32);
  }
}

/// Writes the zeros of one block into the mask.
template <class T>
class BlockCells {
 public:
  BlockCells(const BlockGrid& grid, const NormMaskRequest& request, Dtype rounding)
      : grid_(&grid), request_(&request), rounding_(rounding) {}

  void prune(const T* data, std::int8_t* mask, std::int64_t down, std::int64_t across) {
    const std::int64_t r0 = down * grid_->height, c0 = across * grid_->width;
    const std::int64_t rows = std::min(grid_->height, grid_->rows - r0);
    const std::int64_t columns = std::min(grid_->width, grid_->columns - c0);
    cells_.clear();
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < columns; ++c) {
        const std::int64_t at = (r0 + r) * grid_->columns + c0 + c;
        cells_.push_back({key(data[at]), r * grid_->width + c, at});
      }
    // Cells that a block at the edge lacks rank as NaN, after the numbers and among NaN by their place in the block.
    const auto numbers = std::partition(cells_.begin(), cells_.end(), [](const Cell& c) { return !std::isnan(c.key); });
    const auto finite = static_cast<std::int64_t>(numbers - cells_.begin());
    if (request_->zeros < finite) {
      const auto end = cells_.begin() + static_cast<std::ptrdiff_t>(request_->zeros);
      std::nth_element(cells_.begin(), end, numbers,
                       [](const Cell& a, const Cell& b) { return a.key == b.key ? a.place < b.place : a.key < b.key; });
      for (auto it = cells_.begin(); it != end; ++it) mask[it->at] = 0;
      return;
    }
    for (auto it = cells_.begin(); it != numbers; ++it) mask[it->at] = 0;
    const std::int64_t left = request_->zeros - finite;
    for (auto it = numbers; it != cells_.end(); ++it) {
      const auto before = std::count_if(cells_.begin(), numbers, [&](const Cell& c) { return c.place < it->place; });
      if (it->place - before < left) mask[it->at] = 0;
    }
  }

 private:
  using Wide = typename CellNorm<T>::Wide;
  struct Cell {
    Wide key;
    std::int64_t place;  // in the whole block, row by row
    std::int64_t at;     // in the matrix
  };

  [[nodiscard]] Wide key(T x) const {
    const T plain = request_->norm == BlockNorm::l1 ? std::abs(x) : x * x;
    if (request_->compat) {
      if (rounding_ == Dtype::f16) return convert<float>(convert<Half>(plain));
      if (rounding_ == Dtype::bf16) return convert<float>(convert<BFloat16>(plain));
      return plain;
    }
    const Wide wide = x;
    return request_->norm == BlockNorm::l2 && (plain == 0 || std::isinf(plain)) ? wide * wide : Wide{plain};
  }

  const BlockGrid* grid_;
  const NormMaskRequest* request_;
  Dtype rounding_;
  std::vector<Cell> cells_;
};

template <class T>
void prune_cells(const Tensor& data, Tensor& mask, const Tensor& keep, const BlockGrid& grid,
                 const NormMaskRequest& request, Dtype rounding) {
  const auto* from = data.data<T>().data();
  auto* const to = mask.mutable_data<std::int8_t>().data();
  const auto* kept = keep.data<std::int8_t>().data();
  const std::int64_t across = grid.across();
  parallel_for(grid.down(), 1 + kGrain / 8 / (std::min(grid.height, grid.rows) * grid.columns), [&](Rows rows) {
    BlockCells<T> cells(grid, request, rounding);
    for (std::int64_t d = rows.begin; d < rows.end; ++d)
      for (std::int64_t b = 0; b < across; ++b)
        if (kept[d * across + b] == 0) cells.prune(from, to, d, b);
  });
}

/// Whole blocks as `keep` has them.
void spread(const Tensor& keep, Tensor& mask, const BlockGrid& grid) {
  const auto* kept = keep.data<std::int8_t>().data();
  auto* const to = mask.mutable_data<std::int8_t>().data();
  const std::int64_t across = grid.across();
  parallel_for(grid.rows, 1 + kGrain / grid.columns, [&](Rows rows) {
    for (std::int64_t r = rows.begin; r < rows.end; ++r) {
      const std::int8_t* block = kept + r / grid.height * across;
      std::int8_t* row = to + r * grid.columns;
      for (std::int64_t c = 0; c < grid.columns; c += grid.width)
        std::fill_n(row + c, std::min(grid.width, grid.columns - c), *block++);
    }
  });
}

}  // namespace

void check_norm_mask(const Tensor& data, const NormMaskRequest& request, const std::string& what) {
  if (std::isnan(request.level))
    throw ValueError(cat("[DataNormSparsifier] sparsity_level of ", what, " must be a number; got nan"));
  if (request.height < 1 || request.width < 1)
    throw ValueError(cat("[DataNormSparsifier] sparse_block_shape of ", what, " must have sides of at least 1; got (",
                         request.height, ", ", request.width, ")"));
  const auto area = checked_mul(static_cast<std::uint64_t>(request.height), static_cast<std::uint64_t>(request.width));
  if (!area || *area > static_cast<std::uint64_t>(INT64_MAX))
    throw ValueError(cat("[DataNormSparsifier] sparse_block_shape of ", what, " has too many cells: (", request.height,
                         ", ", request.width, ")"));
  if (request.zeros < 0 || request.zeros > static_cast<std::int64_t>(*area))
    throw ValueError(cat("[DataNormSparsifier] zeros_per_block of ", what, " must be in 0..", *area, " (block ",
                         request.height, "x", request.width, "); got ", request.zeros));
  if (data.dtype() == Dtype::boolean)
    throw DtypeError(cat("[DataNormSparsifier] ", what, " is of bool, which has no norm"));
  (void)grid_of(data, request, what);
}

Tensor norm_mask(const Tensor& data, const NormMaskRequest& request, const std::string& what) {
  check_norm_mask(data, request, what);
  const BlockGrid grid = grid_of(data, request, what);
  const std::int64_t count = data.numel() == 0 ? 0 : count_of(request, grid.blocks());
  if (count == 0 || request.zeros == 0) return ones(data.shape(), Dtype::i8);
  if (grid.area() == 1 && request.norm == BlockNorm::l1)  // cells are their own scores
    return select_masks({data.detach()}, {.count = count, .ties = TieRule::lowest_index}, {}, Dtype::i8)[0];

  const Tensor numbers = ranked(data);
  const Dtype rounding = request.compat ? data.dtype() : numbers.dtype();
  Tensor keep;
  if (count == grid.blocks())
    keep = zeros({count}, Dtype::i8);
  else
    keep = lowest_blocks(numbers, block_scores(numbers, grid, request.norm, rounding), grid, request.norm, count,
                         !request.compat);
  if (request.zeros == grid.area()) {
    Tensor mask = Tensor::empty(data.shape(), Dtype::i8);
    spread(keep, mask, grid);
    return mask;
  }
  Tensor mask = ones(data.shape(), Dtype::i8);
  if (numbers.dtype() == Dtype::f64)
    prune_cells<double>(numbers, mask, keep, grid, request, rounding);
  else
    prune_cells<float>(numbers, mask, keep, grid, request, rounding);
  return mask;
}

}  // namespace coppice::sparsity
