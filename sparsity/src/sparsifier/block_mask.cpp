#include "sparsifier/block_mask.h"

#include <cmath>
#include <limits>

#include "coppice/engine/checked.h"
#include "coppice/engine/ops/select.h"
#include "coppice/engine/parallel.h"
#include "kernels/blocks.h"

namespace coppice::sparsity {
namespace {

constexpr std::int64_t kGrain = 1 << 15;     // elements of one task: 20 µs
constexpr std::int64_t kMaxCells = 1 << 24;  // of all blocks, where the tensor itself has fewer
constexpr std::int64_t kMaxFactor = 4;       // cells per element

struct Grid {
  std::int64_t rows, cols;  // of the tensor
  Block block;
  std::int64_t down, across;  // blocks

  Grid(const Importance& a, Block b)
      : rows(a.rows()),
        cols(a.cols()),
        block(b),
        down(rows / b.rows + (rows % b.rows != 0)),
        across(cols / b.cols + (cols % b.cols != 0)) {}
  [[nodiscard]] std::int64_t blocks() const { return down * across; }
  /// Rows of blocks for one task.
  [[nodiscard]] std::int64_t grain() const {
    return 1 + kGrain / std::max<std::int64_t>(1, std::min(rows, block.rows) * cols);
  }
  [[nodiscard]] Rows rows_of(std::int64_t block_row) const {
    return {block_row * block.rows, std::min(rows, (block_row + 1) * block.rows)};
  }
  [[nodiscard]] Rows cols_of(std::int64_t block_col) const {
    return {block_col * block.cols, std::min(cols, (block_col + 1) * block.cols)};
  }
};

template <class Real>
std::span<Real> part(std::span<Real> all, std::int64_t first, std::int64_t count) {
  return all.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
}

/// Mean importance of each block, row-major over the blocks.
template <class Real>
Tensor block_scores(const Importance& a, const Grid& grid) {
  Tensor scores = Tensor::empty({grid.blocks()}, dtype_of<Real>);
  const std::span<Real> all = scores.mutable_data<Real>();
  parallel_for(grid.down, grid.grain(), [&](Rows block_rows) {
    std::vector<Real> row(static_cast<std::size_t>(grid.cols));
    for (std::int64_t br = block_rows.begin; br < block_rows.end; ++br) {
      const std::span<Real> sums = part(all, br * grid.across, grid.across);
      std::fill(sums.begin(), sums.end(), Real{0});
      const Rows inside = grid.rows_of(br);
      if (grid.block.size() == 1) {  // the scores are the row
        a.row(br, sums);
        continue;
      }
      for (std::int64_t r = inside.begin; r < inside.end; ++r) {
        a.row(r, std::span<Real>(row));
        kernels::add_row(std::span<const Real>(row), grid.block.cols, sums);
      }
      for (std::int64_t bc = 0; bc < grid.across; ++bc) {
        Real& score = sums[static_cast<std::size_t>(bc)];
        score = a.rounded(score / static_cast<Real>(inside.size() * grid.cols_of(bc).size()));
      }
    }
  });
  return scores;
}

/// How many blocks go, and which: those of least score.
MaskRequest blocks_to_prune(const Importance& a, const Grid& grid, const BlockRule& rule) {
  const std::int64_t n = grid.blocks();
  const double wanted = std::nearbyint(rule.level * static_cast<double>(n));  // half to even
  return {.count = std::clamp<std::int64_t>(static_cast<std::int64_t>(wanted), 0, n - 1),
          .magnitude = a.is_magnitude(),
          .ties = rule.ties};
}

/// The importance of a block's cells, row-major; NaN outside the tensor. `rows` are those of the block.
template <class Real>
void gather(const Grid& grid, std::span<const Real> rows, std::int64_t block_col, std::span<Real> cells) {
  std::fill(cells.begin(), cells.end(), std::numeric_limits<Real>::quiet_NaN());
  const Rows cols = grid.cols_of(block_col);
  const auto count = grid.cols == 0 ? 0 : static_cast<std::int64_t>(rows.size()) / grid.cols;
  for (std::int64_t i = 0; i < count; ++i)
    std::copy_n(rows.begin() + i * grid.cols + cols.begin, cols.size(), cells.begin() + i * grid.block.cols);
}

/// The rows of a row of blocks, one behind the other.
template <class Real>
std::span<const Real> load_rows(const Importance& a, Rows inside, std::vector<Real>& buffer) {
  buffer.resize(static_cast<std::size_t>(inside.size() * a.cols()));
  for (std::int64_t i = 0; i < inside.size(); ++i)
    a.row(inside.begin + i, part(std::span<Real>(buffer), i * a.cols(), a.cols()));
  return buffer;
}

/// One byte per cell of each block, 1 where torch.topk takes the cell. It sees all blocks at once, as in PyTorch.
template <class Real>
std::vector<std::uint8_t> topk_cells(const Importance& a, const Grid& grid, const BlockRule& rule) {
  const std::int64_t size = rule.block.size();
  Tensor cells = Tensor::empty({grid.blocks(), size}, dtype_of<Real>);
  std::vector<Real> buffer;
  for (std::int64_t br = 0; br < grid.down; ++br) {
    const std::span<const Real> rows = load_rows(a, grid.rows_of(br), buffer);
    for (std::int64_t bc = 0; bc < grid.across; ++bc)
      gather(grid, rows, bc, part(cells.mutable_data<Real>(), (br * grid.across + bc) * size, size));
  }
  std::vector<std::uint8_t> marked(static_cast<std::size_t>(cells.numel()));
  const Tensor chosen = topk(cells, rule.zeros, 1, false, rule.ties).indices;
  const std::span<const std::int64_t> index = chosen.data<std::int64_t>();
  for (std::size_t i = 0; i < index.size(); ++i)
    marked[i / static_cast<std::size_t>(rule.zeros) * static_cast<std::size_t>(size) +
           static_cast<std::size_t>(index[i])] = 1;
  return marked;
}

/// Blocks that go lose all their entries. `keep`: per block; null: none is kept.
template <class T>
void write_whole(const Grid& grid, const bool* keep, T* out) {
  const T one = convert<T>(1.0);
  parallel_for(grid.down, grid.grain(), [&](Rows block_rows) {
    for (std::int64_t br = block_rows.begin; br < block_rows.end; ++br) {
      const Rows inside = grid.rows_of(br);
      T* const first = out + inside.begin * grid.cols;
      for (std::int64_t bc = 0; bc < grid.across; ++bc) {
        const Rows cols = grid.cols_of(bc);
        std::fill(first + cols.begin, first + cols.end, keep != nullptr && keep[br * grid.across + bc] ? one : T{});
      }
      for (std::int64_t r = 1; r < inside.size(); ++r) std::copy_n(first, grid.cols, first + r * grid.cols);
    }
  });
}

/// Blocks that go lose the entries of least importance.
template <class Real, class T>
void write_some(const Importance& a, const Grid& grid, const BlockRule& rule, const bool* keep, T* out) {
  const T one = convert<T>(1.0);
  const std::int64_t size = rule.block.size();
  std::vector<std::uint8_t> by_topk;
  const bool torch = rule.ties == TieRule::pytorch;
  if (torch && !rule.by_argsort) by_topk = topk_cells<Real>(a, grid, rule);
  parallel_for(grid.down, grid.grain(), [&](Rows block_rows) {
    std::vector<Real> buffer, cells(static_cast<std::size_t>(size));
    std::vector<std::uint8_t> marks(cells.size());
    std::vector<std::pair<Real, std::int64_t>> order;
    for (std::int64_t br = block_rows.begin; br < block_rows.end; ++br) {
      const Rows inside = grid.rows_of(br);
      std::span<const Real> rows;
      if (by_topk.empty()) rows = load_rows(a, inside, buffer);
      for (std::int64_t bc = 0; bc < grid.across; ++bc) {
        const std::int64_t number = br * grid.across + bc;
        const Rows cols = grid.cols_of(bc);
        T* const first = out + inside.begin * grid.cols + cols.begin;
        if (keep != nullptr && keep[number]) {
          for (std::int64_t i = 0; i < inside.size(); ++i) std::fill_n(first + i * grid.cols, cols.size(), one);
          continue;
        }
        const std::uint8_t* marked = marks.data();
        if (by_topk.empty()) {
          std::span<const Real> block = cells;
          if (rule.block.rows == 1 && cols.size() == size)
            block = part(rows, cols.begin, size);  // as it lies there
          else
            gather(grid, rows, bc, std::span<Real>(cells));
          if (torch)
            kernels::mark_by_argsort(block, rule.zeros, std::span<std::uint8_t>(marks), order);
          else
            kernels::mark_smallest(block, rule.zeros, std::span<std::uint8_t>(marks), order);
        } else {
          marked = by_topk.data() + number * size;
        }
        for (std::int64_t i = 0; i < inside.size(); ++i)
          for (std::int64_t j = 0; j < cols.size(); ++j)
            first[i * grid.cols + j] = marked[i * rule.block.cols + j] != 0 ? T{} : one;
      }
    }
  });
}

template <class Real>
void write_mask(const Importance& a, const BlockRule& rule, Tensor& mask) {
  const Grid grid(a, rule.block);
  const bool whole = rule.zeros == rule.block.size();
  Tensor kept;
  if (rule.level < 1) {
    const Tensor scores = block_scores<Real>(a, grid);
    const MaskRequest request = blocks_to_prune(a, grid, rule);
    if (whole && rule.block.size() == 1) return select_masks_({mask}, {scores}, request);  // blocks are entries
    kept = select_masks({scores}, request, {}, Dtype::boolean)[0];
  }
  const bool* const keep = kept.defined() ? kept.data<bool>().data() : nullptr;
  dispatch(mask.dtype(), [&]<class T>() {
    T* const out = mask.mutable_data<T>().data();
    if (whole)
      write_whole(grid, keep, out);
    else
      write_some<Real>(a, grid, rule, keep, out);
  });
}

}  // namespace

void check_cells(const Importance& importance, const BlockRule& rule) {
  if (rule.zeros == rule.block.size()) return;
  const Grid grid(importance, rule.block);
  const auto cells =
      checked_mul(static_cast<std::uint64_t>(grid.blocks()), static_cast<std::uint64_t>(rule.block.size()));
  const std::int64_t allowed = std::max(kMaxCells, kMaxFactor * grid.rows * grid.cols);
  if (!cells || *cells > static_cast<std::uint64_t>(allowed))
    throw LimitError(cat("[sparsifier] blocks of ", rule.block, " have too many cells outside a tensor of ", grid.rows,
                         " x ", grid.cols, " to rank the entries of each"));
}

void write_block_mask(const Importance& importance, const BlockRule& rule, Tensor mask) {
  if (mask.numel() != importance.rows() * importance.cols())
    throw ShapeError(cat("[sparsifier] a mask of shape ", mask.shape(), " for scores of ", importance.rows(),
                         " rows of ", importance.cols()));
  if (mask.numel() == 0) return;
  check_cells(importance, rule);
  if (importance.in_double())
    write_mask<double>(importance, rule, mask);
  else
    write_mask<float>(importance, rule, mask);
}

Tensor mean_of_blocks(const Importance& importance, const Block& block) {
  const Grid grid(importance, block);
  const Tensor scores =
      importance.in_double() ? block_scores<double>(importance, grid) : block_scores<float>(importance, grid);
  return scores.reshape({grid.down, grid.across});
}

void write_blocks(const Importance& importance, const Block& block, const Tensor& keep, Tensor mask) {
  const Grid grid(importance, block);
  dispatch(mask.dtype(),
           [&]<class T>() { write_whole(grid, keep.data<bool>().data(), mask.mutable_data<T>().data()); });
}

}  // namespace coppice::sparsity
