#include "blocks/writer.h"

#include <array>
#include <cstring>
#include <limits>
#include <vector>

#include "blocks/by_size.h"
#include "kernels/block_cells.h"
#include "kernels/block_table.h"

namespace coppice::sparsity {
namespace {

using kernels::kLanes;

/// The mask as memory. Flags are bytes, which a mask of one byte per entry has as they are.
class MaskCells {
 public:
  explicit MaskCells(Tensor& mask)
      : dtype_(mask.dtype()),
        data_(dispatch(dtype_, [&]<class T>() -> void* { return mask.mutable_data<T>().data(); })) {}

  void store(std::int64_t at, const std::uint8_t* flags, std::int64_t n) const {
    if (itemsize(dtype_) == 1) {
      std::memcpy(static_cast<std::uint8_t*>(data_) + at, flags, static_cast<std::size_t>(n));
      return;
    }
    dispatch(dtype_, [&]<class T>() {
      T* const out = static_cast<T*>(data_) + at;
      for (std::int64_t i = 0; i < n; ++i) out[i] = convert<T>(flags[i]);
    });
  }

 private:
  Dtype dtype_;
  void* data_;
};

constexpr std::int64_t kPiece = 2048;  // flags that are made at a time

/// Blocks that go lose all their entries.
class WholeBlocks final : public BlockWriter {
 public:
  WholeBlocks(const Grid& grid, Tensor& mask) : grid_(grid), mask_(mask) {}

  void write(std::int64_t first, std::int64_t n, const std::uint8_t* keep) const override {
    grid_.segments(first, n, [&](std::int64_t block_row, Rows blocks, std::int64_t number) {
      const Rows rows = grid_.rows_of(block_row);
      grid_.pieces(blocks, kPiece, [&](Rows cols, std::int64_t block) {
        std::array<std::uint8_t, kPiece> flags;
        kernels::blocks_in_use().spread_row(keep + (number - first) + (block - blocks.begin), grid_.block.cols,
                                            flags.data(), cols.size());
        for (std::int64_t r = rows.begin; r < rows.end; ++r)
          mask_.store(r * grid_.cols + cols.begin, flags.data(), cols.size());
      });
    });
  }

  void prune(std::int64_t block) const override {
    if (grid_.block.size() > 1) return BlockWriter::prune(block);
    const std::uint8_t none = 0;
    mask_.store(block, &none, 1);
  }

 private:
  Grid grid_;
  MaskCells mask_;
};

/// Blocks that go lose the entries of least importance.
template <class Real>
class SomeCells final : public BlockWriter {
 public:
  SomeCells(const Importance& importance, const Grid& grid, const BlockRule& rule, Tensor& mask,
            const std::uint8_t* topk_marks)
      : importance_(importance),
        sizes_(importance.magnitudes()),
        grid_(grid),
        rule_(rule),
        topk_marks_(topk_marks),
        mask_(mask) {}

  void write(std::int64_t first, std::int64_t n, const std::uint8_t* keep) const override {
    Work work;
    grid_.segments(first, n, [&](std::int64_t block_row, Rows blocks, std::int64_t number) {
      const std::uint8_t* const kept = keep + (number - first);
      const std::int64_t ranked = small(block_row) ? std::min(blocks.end, grid_.cols / grid_.block.cols) : 0;
      std::int64_t b = blocks.begin;
      for (; b < ranked; b += kLanes)
        write_lanes(block_row, {b, std::min(b + kLanes, ranked)}, kept + (b - blocks.begin), work);
      for (b = std::max(blocks.begin, ranked); b < blocks.end; ++b)
        write_block(block_row, b, kept[b - blocks.begin] != 0, work);
    });
  }

 private:
  struct Work {
    std::array<Real, kernels::kMostRanked * kLanes> lanes;
    std::array<std::uint8_t, kernels::kMostRanked * kLanes> flags;
    std::vector<Real> cells;
    std::vector<Wide<Real>> wide;
    std::vector<std::uint8_t> marks_of_block, row_flags;
    kernels::Order<Real> order;
    kernels::Order<Wide<Real>> wide_order;
  };

  /// Whole blocks of this row of blocks have their cells ranked side by side: by their values, lower index first.
  [[nodiscard]] bool small(std::int64_t block_row) const {
    return topk_marks_ == nullptr && rule_.block.size() <= kernels::kMostRanked &&
           grid_.rows_of(block_row).size() == rule_.block.rows;
  }

  void write_lanes(std::int64_t block_row, Rows blocks, const std::uint8_t* keep, Work& work) const {
    const std::int64_t height = grid_.block.rows, width = grid_.block.cols, n = blocks.size() * width;
    const std::int64_t at = block_row * height * grid_.cols + blocks.begin * width;
    for (std::int64_t r = 0; r < height; ++r)
      importance_.read(
          at + r * grid_.cols,
          std::span<Real>(work.lanes).subspan(static_cast<std::size_t>(r * n), static_cast<std::size_t>(n)));
    kernels::blocks_in_use_for<Real>().flag_lowest(work.lanes.data(), blocks.size(), height, width, rule_.zeros, keep,
                                                   work.flags.data());
    for (std::int64_t r = 0; r < height; ++r) mask_.store(at + r * grid_.cols, work.flags.data() + r * n, n);
    if (!rule_.by_size) return;
    const auto beyond = [](std::span<const Real> x) {
      bool any = false;  // without a branch: rarely so
      for (const Real v : x) any |= left_the_range(v);
      return any;
    };
    const std::span<const Real> all(work.lanes.data(), static_cast<std::size_t>(height * n));
    if (!beyond(all)) return;
    for (std::int64_t b = 0; b < blocks.size(); ++b)
      for (std::int64_t r = 0; r < height && keep[b] == 0; ++r)
        if (beyond(all.subspan(static_cast<std::size_t>(r * n + b * width), static_cast<std::size_t>(width)))) {
          write_block(block_row, blocks.begin + b, false, work);
          break;
        }
  }

  void write_block(std::int64_t block_row, std::int64_t block, bool keep, Work& work) const {
    const Rows rows = grid_.rows_of(block_row), cols = grid_.cols_of({block, block + 1});
    std::vector<std::uint8_t>& flags = work.row_flags;
    flags.assign(static_cast<std::size_t>(cols.size()), 1);
    const Marks of = keep ? Marks{} : marks_of(rows, cols, block_row * grid_.across + block, work);
    for (std::int64_t r = 0; r < rows.size(); ++r) {
      for (std::int64_t c = 0; !keep && c < cols.size(); ++c)
        flags[static_cast<std::size_t>(c)] = of.marks[r * of.stride + c] ^ 1;
      mask_.store((rows.begin + r) * grid_.cols + cols.begin, flags.data(), cols.size());
    }
  }

  struct Marks {
    const std::uint8_t* marks = nullptr;
    std::int64_t stride = 0;  // from one row of cells to the next
  };
  Marks marks_of(Rows rows, Rows cols, std::int64_t number, Work& work) const {
    const std::int64_t width = grid_.block.cols;
    if (topk_marks_ != nullptr) return {topk_marks_ + number * rule_.block.size(), width};
    const auto inside = static_cast<std::size_t>(rows.size() * cols.size());
    read(importance_, rows, cols, work.cells);
    if (rule_.ties == TieRule::pytorch) {  // argsort of whole blocks
      const std::vector<Real> cells = work.cells;
      work.cells.assign(static_cast<std::size_t>(rule_.block.size()), std::numeric_limits<Real>::quiet_NaN());
      for (std::int64_t r = 0; r < rows.size(); ++r)
        std::copy_n(cells.begin() + r * cols.size(), cols.size(), work.cells.begin() + r * width);
      work.marks_of_block.resize(work.cells.size());
      kernels::mark_by_argsort(std::span<const Real>(work.cells), rule_.zeros, std::span(work.marks_of_block),
                               work.order);
      return {work.marks_of_block.data(), width};
    }
    work.marks_of_block.resize(inside);
    if (rule_.by_size && std::ranges::any_of(work.cells, left_the_range<Real>)) {
      work.wide.assign(work.cells.begin(), work.cells.end());
      read(sizes_, rows, cols, work.cells);
      for (std::size_t i = 0; i < inside; ++i)
        if (const Wide<Real> x = work.cells[i]; left_the_range(work.wide[i])) work.wide[i] = x * x;
      kernels::mark_lowest(std::span<const Wide<Real>>(work.wide), cols.size(), width, rule_.zeros,
                           std::span(work.marks_of_block), work.wide_order);
    } else {
      kernels::mark_lowest(std::span<const Real>(work.cells), cols.size(), width, rule_.zeros,
                           std::span(work.marks_of_block), work.order);
    }
    return {work.marks_of_block.data(), cols.size()};
  }

  void read(const Importance& a, Rows rows, Rows cols, std::vector<Real>& cells) const {
    cells.resize(static_cast<std::size_t>(rows.size() * cols.size()));
    for (std::int64_t r = 0; r < rows.size(); ++r)
      a.read((rows.begin + r) * grid_.cols + cols.begin,
             std::span<Real>(cells).subspan(static_cast<std::size_t>(r * cols.size()),
                                            static_cast<std::size_t>(cols.size())));
  }

  Importance importance_, sizes_;
  Grid grid_;
  BlockRule rule_;
  const std::uint8_t* topk_marks_;
  MaskCells mask_;
};

}  // namespace

template <class Real>
std::unique_ptr<BlockWriter> block_writer(const Importance& importance, const Grid& grid, const BlockRule& rule,
                                          Tensor& mask, const std::uint8_t* topk_marks) {
  if (rule.zeros == rule.block.size()) return std::make_unique<WholeBlocks>(grid, mask);
  return std::make_unique<SomeCells<Real>>(importance, grid, rule, mask, topk_marks);
}
template std::unique_ptr<BlockWriter> block_writer<float>(const Importance&, const Grid&, const BlockRule&, Tensor&,
                                                          const std::uint8_t*);
template std::unique_ptr<BlockWriter> block_writer<double>(const Importance&, const Grid&, const BlockRule&, Tensor&,
                                                           const std::uint8_t*);

}  // namespace coppice::sparsity
