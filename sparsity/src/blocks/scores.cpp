#include "blocks/scores.h"

#include <array>
#include <memory>

#include "kernels/block_table.h"

namespace coppice::sparsity {
namespace {

constexpr std::int64_t kPiece = 2048;  // entries that are made at a time, in the first-level cache

/// Scores of blocks that stand side by side.
template <class Real>
void scores_of(const Importance& a, const Grid& grid, std::int64_t block_row, Rows blocks, Real* out) {
  const Rows inside = grid.rows_of(block_row), cols = grid.cols_of(blocks);
  if (grid.block.size() == 1)  // entries are their own scores
    return a.read(inside.begin * grid.cols + cols.begin, std::span<Real>(out, static_cast<std::size_t>(cols.size())));
  std::fill_n(out, blocks.size(), Real{0});
  std::array<Real, kPiece> piece;
  const std::int64_t width = grid.block.cols;
  const auto& kernels = kernels::blocks_in_use_for<Real>();
  for (std::int64_t r = inside.begin; r < inside.end; ++r)
    grid.pieces(blocks, kPiece, [&](Rows part, std::int64_t block) {
      if constexpr (std::is_same_v<Real, float>)
        if (a.add(r * grid.cols + part.begin, part.size(), width, out + (block - blocks.begin))) return;
      a.read(r * grid.cols + part.begin, std::span<Real>(piece).first(static_cast<std::size_t>(part.size())));
      kernels.add_row(piece.data(), part.size(), width, out + (block - blocks.begin));
    });
  const std::int64_t whole = blocks.size() - (cols.size() % width != 0);
  const auto cells = static_cast<Real>(inside.size() * width);
  for (std::int64_t b = 0; b < whole; ++b) out[b] /= cells;
  if (whole < blocks.size()) out[whole] /= static_cast<Real>(inside.size() * (cols.size() % width));
  a.round(std::span<Real>(out, static_cast<std::size_t>(blocks.size())));
}

}  // namespace

template <class Real>
void block_scores(const Importance& a, const Grid& grid, std::int64_t first, std::int64_t n, Real* out) {
  grid.segments(first, n, [&](std::int64_t block_row, Rows blocks, std::int64_t number) {
    scores_of(a, grid, block_row, blocks, out + (number - first));
  });
}
template void block_scores(const Importance&, const Grid&, std::int64_t, std::int64_t, float*);

template <class Real>
Tensor all_block_scores(const Importance& a, const Grid& grid) {
  Tensor out = Tensor::empty({grid.blocks()}, dtype_of<Real>);
  Real* const scores = out.mutable_data<Real>().data();
  grid.parallel_segments([&](std::int64_t block_row, Rows blocks, std::int64_t number) {
    scores_of(a, grid, block_row, blocks, scores + number);
  });
  return out;
}
template Tensor all_block_scores<float>(const Importance&, const Grid&);
template Tensor all_block_scores<double>(const Importance&, const Grid&);

}  // namespace coppice::sparsity
