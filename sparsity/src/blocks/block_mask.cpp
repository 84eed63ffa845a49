#include "blocks/block_mask.h"

#include <cmath>
#include <limits>
#include <vector>

#include "blocks/by_size.h"
#include "blocks/scores.h"
#include "blocks/writer.h"
#include "coppice/engine/checked.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/select.h"

namespace coppice::sparsity {
namespace {

constexpr std::int64_t kMaxCells = 1 << 24;  // of all blocks, where the tensor itself has fewer
constexpr std::int64_t kMaxFactor = 4;       // cells per element
// Scores are stored where that is little, as they need one reading then: for blocks of so many cells, or so few blocks.
constexpr std::int64_t kStoredCells = 32;
constexpr std::int64_t kStoredBlocks = 1 << 16;

/// One byte per cell of each block, 1 where torch.topk takes the cell. It sees all blocks at once, as in PyTorch.
template <class Real>
std::vector<std::uint8_t> topk_cells(const Importance& a, const Grid& grid, const BlockRule& rule) {
  const std::int64_t size = rule.block.size();
  Tensor cells = full({grid.blocks(), size}, std::numeric_limits<double>::quiet_NaN(), dtype_of<Real>);
  const std::span<Real> all = cells.mutable_data<Real>();
  for (std::int64_t b = 0; b < grid.blocks(); ++b) {
    const Rows rows = grid.rows_of(b / grid.across), cols = grid.cols_of({b % grid.across, b % grid.across + 1});
    for (std::int64_t r = rows.begin; r < rows.end; ++r)
      a.read(r * grid.cols + cols.begin,
             all.subspan(static_cast<std::size_t>(b * size + (r - rows.begin) * rule.block.cols),
                         static_cast<std::size_t>(cols.size())));
  }
  std::vector<std::uint8_t> marked(static_cast<std::size_t>(cells.numel()));
  const Tensor chosen = topk(cells, rule.zeros, 1, false, rule.ties).indices;
  const std::span<const std::int64_t> index = chosen.data<std::int64_t>();
  for (std::size_t i = 0; i < index.size(); ++i)
    marked[i / static_cast<std::size_t>(rule.zeros) * static_cast<std::size_t>(size) +
           static_cast<std::size_t>(index[i])] = 1;
  return marked;
}

/// Scores of blocks as they are wanted; what becomes of a block is written into the mask at once.
class BlockStream final : public ScoreStream {
 public:
  BlockStream(const Importance& importance, const Grid& grid, const BlockWriter& writer)
      : importance_(importance), grid_(grid), writer_(writer) {}
  [[nodiscard]] std::int64_t size() const override { return grid_.blocks(); }
  [[nodiscard]] std::int64_t cost() const override { return grid_.cells(); }
  const float* read(std::int64_t first, std::int64_t n, float* buffer) const override {
    if (grid_.block.size() == 1)
      if (const float* scores = importance_.in_place(); scores != nullptr) return scores + first;
    block_scores(importance_, grid_, first, n, buffer);
    return buffer;
  }
  void prefetch(std::int64_t first, std::int64_t n) const override {
    grid_.segments(first, n, [&](std::int64_t block_row, Rows blocks, std::int64_t) {
      const Rows rows = grid_.rows_of(block_row), cols = grid_.cols_of(blocks);
      for (std::int64_t r = rows.begin; r < rows.end; ++r)
        importance_.prefetch(r * grid_.cols + cols.begin, cols.size());
    });
  }
  void write(std::int64_t first, std::int64_t n, const std::uint8_t* keep) override { writer_.write(first, n, keep); }
  void prune(std::int64_t block) override { writer_.prune(block); }

 private:
  const Importance& importance_;
  const Grid& grid_;
  const BlockWriter& writer_;
};

/// @param keep  one byte per block: whether it keeps its entries
void write_all(const Grid& grid, const BlockWriter& writer, const Tensor& keep) {
  const auto* const flags = reinterpret_cast<const std::uint8_t*>(keep.bytes());
  grid.parallel_segments(
      [&](std::int64_t, Rows blocks, std::int64_t first) { writer.write(first, blocks.size(), flags + first); });
}

template <class Real>
class MaskOfBlocks {
 public:
  MaskOfBlocks(const Importance& a, const BlockRule& rule, Tensor& mask)
      : a_(a), rule_(rule), grid_(a.rows(), a.cols(), rule.block) {
    const bool topk = rule.zeros < rule.block.size() && rule.ties == TieRule::pytorch && !rule.by_argsort;
    if (topk) marks_ = topk_cells<Real>(a, grid_, rule);
    writer_ = block_writer<Real>(a, grid_, rule, mask, topk ? marks_.data() : nullptr);
  }

  void write() {
    if (rule_.count == BlockRule::kAll || rule_.count == grid_.blocks()) {
      const std::vector<std::uint8_t> none(static_cast<std::size_t>(Grid::kCells));
      grid_.parallel_segments(
          [&](std::int64_t, Rows blocks, std::int64_t first) { writer_->write(first, blocks.size(), none.data()); });
    } else if (!write_from_stream()) {
      write_all(grid_, *writer_, kept_blocks());
    }
  }

 private:
  bool write_from_stream() {
    const bool stored = grid_.cells() >= kStoredCells || grid_.blocks() < kStoredBlocks;
    if (!std::is_same_v<Real, float> || rule_.ties == TieRule::pytorch || stored) return false;
    BlockStream stream(a_, grid_, *writer_);
    const bool once = !a_.sees_mask();
    const StreamCut cut =
        once ? select_once(stream, rule_.count, a_.is_magnitude()) : find_cut(stream, rule_.count, a_.is_magnitude());
    if (rule_.by_size && rule_.count > 0 && !far_from_the_ends(cut.value, grid_.cells())) return false;
    if (!once) write_cut(stream, cut);
    return true;
  }

  /// One byte per block: whether it keeps its entries.
  [[nodiscard]] Tensor kept_blocks() const {
    const Tensor scores = all_block_scores<Real>(a_, grid_);
    if (rule_.by_size && std::ranges::any_of(scores.data<Real>(), left_the_range<Real>))
      return keep_by_size<Real>(a_, grid_, scores, rule_.count);
    const MaskRequest request{.count = rule_.count, .magnitude = a_.is_magnitude(), .ties = rule_.ties};
    return select_masks({scores}, request, {}, Dtype::boolean)[0];
  }

  const Importance& a_;
  const BlockRule& rule_;
  Grid grid_;
  std::vector<std::uint8_t> marks_;
  std::unique_ptr<BlockWriter> writer_;
};

}  // namespace

std::int64_t count_blocks(std::int64_t rows, std::int64_t cols, Block block) {
  return rows == 0 || cols == 0 ? 0 : Grid(rows, cols, block).blocks();
}

std::int64_t count_at_level(double level, std::int64_t blocks) {
  if (level >= 1) return BlockRule::kAll;
  const double wanted = std::nearbyint(level * static_cast<double>(blocks));  // half to even
  return std::min(static_cast<std::int64_t>(wanted), std::max<std::int64_t>(blocks - 1, 0));
}

void check_cells(const Importance& importance, const BlockRule& rule) {
  if (rule.zeros == rule.block.size()) return;
  const auto blocks = count_blocks(importance.rows(), importance.cols(), rule.block);
  const auto cells = checked_mul(static_cast<std::uint64_t>(blocks), static_cast<std::uint64_t>(rule.block.size()));
  const std::int64_t allowed = std::max(kMaxCells, kMaxFactor * importance.rows() * importance.cols());
  if (!cells || *cells > static_cast<std::uint64_t>(allowed))
    throw LimitError(cat("[sparsifier] blocks of ", rule.block, " have too many cells outside a tensor of ",
                         importance.rows(), " x ", importance.cols(), " to rank the entries of each"));
}

void write_block_mask(const Importance& importance, const BlockRule& rule, Tensor mask) {
  if (mask.numel() != importance.rows() * importance.cols())
    throw ShapeError(cat("[sparsifier] a mask of shape ", mask.shape(), " for scores of ", importance.rows(),
                         " rows of ", importance.cols()));
  if (mask.numel() == 0) return;
  if (rule.ties == TieRule::pytorch) check_cells(importance, rule);
  if (importance.in_double())
    MaskOfBlocks<double>(importance, rule, mask).write();
  else
    MaskOfBlocks<float>(importance, rule, mask).write();
}

Tensor mean_of_blocks(const Importance& importance, Block block) {
  const Grid grid(importance.rows(), importance.cols(), block);
  const Tensor scores =
      importance.in_double() ? all_block_scores<double>(importance, grid) : all_block_scores<float>(importance, grid);
  // The grid may have put all rows into one, in the same order.
  return scores.reshape({importance.rows() / block.rows + (importance.rows() % block.rows != 0), -1});
}

void write_blocks(const Importance& importance, Block block, const Tensor& keep, Tensor mask) {
  const Grid grid(importance.rows(), importance.cols(), block);
  const BlockRule rule{.block = block, .zeros = block.size()};
  write_all(grid, *block_writer<float>(importance, grid, rule, mask, nullptr), keep);
}

}  // namespace coppice::sparsity
