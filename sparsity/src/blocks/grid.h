#pragma once
// A matrix in blocks, as sizes. Private to sparsity.

#include <algorithm>
#include <cstdint>

#include "coppice/engine/parallel.h"
#include "coppice/sparsity/sparsifier/config.h"

namespace coppice::sparsity {

/// Blocks are numbered row by row; those at the lower and right edges may have fewer cells.
struct Grid {
  static constexpr std::int64_t kCells = 1 << 15;  ///< of one task: 20 µs

  std::int64_t rows, cols;  ///< of the matrix
  Block block;
  std::int64_t down, across;  ///< blocks

  Grid(std::int64_t matrix_rows, std::int64_t matrix_cols, Block b) : rows(matrix_rows), cols(matrix_cols), block(b) {
    if (block.rows == 1 && cols % block.cols == 0) {  // the same blocks in the same order: one long row
      cols *= rows;
      rows = std::min<std::int64_t>(rows, 1);
    }
    down = rows / block.rows + (rows % block.rows != 0);
    across = cols / block.cols + (cols % block.cols != 0);
  }

  [[nodiscard]] std::int64_t blocks() const { return down * across; }
  [[nodiscard]] Rows rows_of(std::int64_t block_row) const {
    return {block_row * block.rows, block_row + 1 == down ? rows : (block_row + 1) * block.rows};
  }
  /// Columns of some blocks side by side.
  [[nodiscard]] Rows cols_of(Rows across_blocks) const {
    return {across_blocks.begin * block.cols, across_blocks.end == across ? cols : across_blocks.end * block.cols};
  }
  /// Cells that a block has, at most.
  [[nodiscard]] std::int64_t cells() const { return std::min(block.rows, rows) * std::min(block.cols, cols); }

  /// Calls f(row of blocks, blocks in it, number of the first) for blocks first .. first + n.
  template <class F>
  void segments(std::int64_t first, std::int64_t n, F f) const {
    while (n > 0) {
      const std::int64_t begin = first % across, end = std::min(across, begin + n);
      f(first / across, Rows{begin, end}, first);
      first += end - begin;
      n -= end - begin;
    }
  }

  /// Calls f(columns, block of the first) for the columns of some blocks side by side, at most `most` at a time. Pieces
  /// end where blocks do, or a block has several to itself.
  template <class F>
  void pieces(Rows blocks, std::int64_t most, F f) const {
    const Rows all = cols_of(blocks);
    const std::int64_t width = block.cols, step = width < most ? most / width * width : most;
    for (std::int64_t c = all.begin; c < all.end;) {
      const std::int64_t b = c / width;
      const std::int64_t end =
          std::min(width <= most ? c + step : std::min(c + step, cols_of({b, b + 1}).end), all.end);
      f(Rows{c, end}, b);
      c = end;
    }
  }

  /// Calls f as segments() does for all blocks, in pieces of rows of blocks, in parallel.
  template <class F>
  void parallel_segments(F f) const {
    constexpr std::int64_t kNarrow = 256;  // columns of a piece at least: a few cache lines side by side
    const std::int64_t high = std::min(block.rows, rows);
    const std::int64_t piece = std::max<std::int64_t>(1, std::max(kCells / high, kNarrow) / block.cols);
    const std::int64_t in_row = (across + piece - 1) / piece;
    const std::int64_t cost = high * std::min(piece * block.cols, cols);
    parallel_for(down * in_row, 1 + kCells / std::max<std::int64_t>(1, cost), [&](Rows pieces) {
      for (std::int64_t p = pieces.begin; p < pieces.end; ++p) {
        const std::int64_t d = p / in_row, begin = p % in_row * piece;
        f(d, Rows{begin, std::min(across, begin + piece)}, d * across + begin);
      }
    });
  }
};

}  // namespace coppice::sparsity
