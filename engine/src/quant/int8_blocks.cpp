#include "quant/int8_blocks.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "coppice/engine/parallel.h"
#include "kernels/levels.h"
#include "quant/int8_tasks.h"

namespace coppice::quant {
namespace {

using kernels::Int8Out;
using kernels::kPanel;

constexpr std::int64_t kStrip = 64;  // samples that share one pass over the weights

/// From so many samples on they run side by side (bench/int8_bench).
std::int64_t side_by_side_from(std::int64_t height) { return height == 16 ? 8 : 4; }

constexpr std::int64_t kTilesPay =
    3;  // bytes of tiles for one of blocks up to which they are faster (bench/int8_bench)

/// Panels of outputs of a task, so that it has kTaskProducts products on average.
std::int64_t panels_per_task(const Int8Matrix& w, std::int64_t samples) {
  const std::int64_t panels = panels_of(w.outputs());
  const std::int64_t products = std::max<std::int64_t>(w.blocks() * w.height() * 4 / panels * samples, 1);
  return std::clamp<std::int64_t>(kTaskProducts / products, 1, panels);
}

/// Samples of whole strips as [strip][k / 4][width][4].
Aligned<std::uint8_t> side_by_side(std::int64_t m, std::int64_t k, const std::uint8_t* x, std::int64_t x_stride,
                                   std::int64_t width) {
  const std::int64_t fours = row_stride(k) / 4, strips = (m + kStrip - 1) / kStrip;
  auto turned = aligned<std::uint8_t>(static_cast<std::size_t>(strips * fours * width * 4));
  const kernels::DenseKernels& dense = kernels::in_use().dense;
  parallel_for(strips, std::max<std::int64_t>(kTaskProducts / (kStrip * std::max<std::int64_t>(k, 1)), 1), [&](Rows r) {
    for (std::int64_t s = r.begin; s < r.end; ++s)  // fours of bytes travel as floats do
      dense.transpose(reinterpret_cast<const float*>(x + s * kStrip * x_stride), std::min(kStrip, m - s * kStrip),
                      fours, x_stride / 4, reinterpret_cast<float*>(turned.get() + s * fours * width * 4), width);
  });
  return turned;
}

}  // namespace

Int8Matrix::Int8Matrix(std::int64_t n, std::int64_t k, std::int64_t height, std::span<const std::int8_t> weight)
    : n_(n), k_(k), height_(height), offsets_{0}, sums_(static_cast<std::size_t>(panels_of(n) * kPanel)) {
  const std::int64_t fours = row_stride(k) / 4, groups = (n + height - 1) / height;
  std::vector<std::int8_t> values, block(static_cast<std::size_t>(height * 4));
  for (std::int64_t g = 0; g < groups; ++g) {
    for (std::int64_t c = 0; c < fours; ++c) {
      std::ranges::fill(block, std::int8_t{0});
      for (std::int64_t r = 0; r < std::min(height, n - g * height); ++r)
        for (std::int64_t i = 0; i < std::min<std::int64_t>(4, k - c * 4); ++i) {
          const std::int8_t v = weight[static_cast<std::size_t>((g * height + r) * k + c * 4 + i)];
          block[static_cast<std::size_t>(r * 4 + i)] = v;
          sums_[static_cast<std::size_t>(g * height + r)] += v;
        }
      if (std::ranges::all_of(block, [](std::int8_t v) { return v == 0; })) continue;
      columns32_.push_back(static_cast<std::int32_t>(c));
      values.insert(values.end(), block.begin(), block.end());
    }
    offsets_.push_back(static_cast<std::int32_t>(columns32_.size()));
  }
  values_ = aligned<std::int8_t>(values.size());
  std::ranges::copy(values, values_.get());
  if (kernels::int8_in_use().tiles != nullptr) make_tiles();
  if (fours > std::numeric_limits<std::int16_t>::max()) return;
  for (const std::int32_t c : columns32_) columns16_.push_back(static_cast<std::int16_t>(c));
  columns32_ = {};
}

void Int8Matrix::make_tiles() {
  const std::int64_t groups = (n_ + 15) / 16, per = 16 / height_;
  std::vector<std::int8_t> values;
  std::vector<std::int64_t> next(static_cast<std::size_t>(per));
  tile_offsets_ = {0};
  for (std::int64_t g = 0; g < groups; ++g) {
    const std::int64_t lists = std::min(per, std::ssize(offsets_) - 1 - g * per);
    for (std::int64_t i = 0; i < lists; ++i)
      next[static_cast<std::size_t>(i)] = offsets_[static_cast<std::size_t>(g * per + i)];
    for (std::int64_t place = 0;; ++place) {  // the lists are merged: each step takes the lowest column that is left
      std::int32_t lowest = std::numeric_limits<std::int32_t>::max();
      for (std::int64_t i = 0; i < lists; ++i)
        if (const auto at = static_cast<std::size_t>(next[static_cast<std::size_t>(i)]);
            static_cast<std::int64_t>(at) < offsets_[static_cast<std::size_t>(g * per + i + 1)])
          lowest = std::min(lowest, columns32_[at]);
      if (lowest == std::numeric_limits<std::int32_t>::max()) break;
      if (place % 16 == 0) {
        tile_columns_.resize(tile_columns_.size() + 16, lowest);
        values.resize(values.size() + 1024);
      }
      tile_columns_[tile_columns_.size() - 16 + static_cast<std::size_t>(place % 16)] = lowest;
      std::int8_t* const tile = values.data() + values.size() - 1024 + place % 16 * 4;
      for (std::int64_t i = 0; i < lists; ++i) {
        std::int64_t& at = next[static_cast<std::size_t>(i)];
        if (at == offsets_[static_cast<std::size_t>(g * per + i + 1)] ||
            columns32_[static_cast<std::size_t>(at)] != lowest)
          continue;
        for (std::int64_t r = 0; r < height_; ++r)
          std::copy_n(values_.get() + (at * height_ + r) * 4, 4, tile + (i * height_ + r) * 64);
        ++at;
      }
    }
    tile_offsets_.push_back(static_cast<std::int32_t>(tile_columns_.size() / 16));
  }
  if (std::ssize(values) > kTilesPay * blocks() * height_ * 4) {
    tile_offsets_ = tile_columns_ = {};
    return;
  }
  tile_values_ = aligned<std::int8_t>(values.size());
  std::ranges::copy(values, tile_values_.get());
}

kernels::Int8Tiles Int8Matrix::tiles() const {
  if (tile_offsets_.empty()) return {};
  return {tile_offsets_.data(), tile_columns_.data(), tile_values_.get()};
}

std::int64_t Int8Matrix::bytes() const {
  return blocks() * height_ * 4 + std::ssize(offsets_) * 4 + std::ssize(columns16_) * 2 + std::ssize(columns32_) * 4;
}

kernels::Int8Blocks Int8Matrix::view() const {
  return {n_,
          height_,
          offsets_.data(),
          columns32_.empty() ? columns16_.data() : nullptr,
          columns32_.empty() ? nullptr : columns32_.data(),
          values_.get()};
}

void multiply(const Int8Matrix& w, std::int64_t m, const std::uint8_t* x, std::int64_t x_stride, Int8Out out, void* y) {
  const std::int64_t n = w.outputs(), k = w.inputs(), panels = panels_of(n);
  if (m == 0 || n == 0) return;
  const Aligned<std::uint8_t> padded = whole_fours(m, k, x, x_stride);
  const kernels::Int8Kernels& kernels = kernels::int8_in_use();
  const kernels::Int8Blocks view = w.view();
  out.columns = w.columns().data();
  out.y_stride = n;
  const bool turn = m >= side_by_side_from(w.height());
  const kernels::Int8Tiles tiles = w.tiles();
  const bool tiled = turn && tiles.offsets != nullptr && kernels.tiles != nullptr;
  const std::int64_t width = m > 32 ? kStrip : (m + 15) / 16 * 16;
  const Aligned<std::uint8_t> turned = turn ? side_by_side(m, k, x, x_stride, width) : nullptr;
  const std::int64_t strips = (m + kStrip - 1) / kStrip, grain = panels_per_task(w, std::min(m, kStrip));
  const std::int64_t across = (panels + grain - 1) / grain;
  parallel_for(strips * across, 1, [&](Rows tasks) {
    for (std::int64_t task = tasks.begin; task < tasks.end; ++task) {
      const std::int64_t first = task / across * kStrip, count = std::min(kStrip, m - first);
      const std::int64_t begin = task % across * grain * kPanel, end = std::min(begin + grain * kPanel, n);
      Int8Out part = out;
      part.y = static_cast<std::uint8_t*>(y) + first * n * size_of(out.rule);
      if (tiled)
        kernels.tiles(tiles, count, turned.get() + first * row_stride(k), width, part, begin, end);
      else if (turn)
        kernels.samples(view, count, turned.get() + first * row_stride(k), width, part, begin, end);
      else
        kernels.rows(view, count, x + first * x_stride, x_stride, part, begin, end);
    }
  });
}

}  // namespace coppice::quant
