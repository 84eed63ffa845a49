// Products with lists of blocks: cuts the work into tasks and arranges samples; the arithmetic is in src/kernels.
#include <algorithm>

#include "block_view.h"
#include "blocks.h"
#include "coppice/engine/parallel.h"
#include "kernels/levels.h"

namespace coppice::sparse {
namespace {

using kernels::PackedView;

constexpr std::int64_t kTile = 64;           // samples that share one pass over the weights
constexpr std::int64_t kChunkRows = 64;      // rows whose results are transposed together, in the cache
constexpr std::int64_t kPackColumns = 1024;  // of a task that transposes samples

/// From this batch on samples are transposed and run side by side (bench/spmm_bench).
std::int64_t spmm_batch(std::int64_t height) { return height == 1 ? 4 : 6; }

std::int64_t groups_of(const PackedView& w) { return (w.rows + w.height - 1) / w.height; }

/// Groups of a task, so that it has kTaskProducts products on average; a multiple of kChunkRows rows.
std::int64_t groups_per_task(const PackedView& w, std::int64_t samples) {
  const std::int64_t groups = groups_of(w), stored = w.offsets[groups] * w.height;
  const std::int64_t unit = kChunkRows / w.height;
  const std::int64_t products = std::max<std::int64_t>(stored / std::max<std::int64_t>(groups, 1) * samples, 1);
  return std::max<std::int64_t>((kTaskProducts / products + unit - 1) / unit, 1) * unit;
}

void one_by_one(const PackedView& w, const float* x, std::int64_t batch, const float* bias, float* y) {
  const std::int64_t groups = groups_of(w), grain = groups_per_task(w, batch);
  parallel_for(groups, grain, [&](Rows range) {
    for (std::int64_t s = 0; s < batch; ++s)
      kernels::in_use().sparse.spmv(w, x + s * w.cols, bias, y + s * w.rows, range.begin, range.end);
  });
}

void side_by_side(const PackedView& w, const float* x, std::int64_t batch, const float* bias, float* y) {
  const kernels::Kernels& kernels = kernels::in_use();
  const std::int64_t tiles = (batch + kTile - 1) / kTile;
  const std::int64_t stride = tiles > 1 ? kTile : (batch + 15) / 16 * 16;
  // Samples along the lines of [tile][cols][stride]: one broadcast weight meets a vector of samples.
  Tensor packed = Tensor::empty(Shape{tiles, w.cols, stride});
  float* const xt = packed.mutable_data<float>().data();
  const std::int64_t strips = (w.cols + kPackColumns - 1) / kPackColumns;
  parallel_for(tiles * strips, 1, [&](Rows range) {
    for (std::int64_t i = range.begin; i < range.end; ++i) {
      const std::int64_t s = i / strips * kTile, c = i % strips * kPackColumns;
      const std::int64_t n = std::min(kTile, batch - s), cols = std::min(kPackColumns, w.cols - c);
      kernels.dense.transpose(x + s * w.cols + c, n, cols, w.cols, xt + (i / strips * w.cols + c) * stride, stride);
    }
  });
  const std::int64_t groups = groups_of(w), grain = groups_per_task(w, std::min(batch, kTile));
  const std::int64_t parts = (groups + grain - 1) / grain;
  const std::int64_t chunk = kChunkRows / w.height;
  parallel_for(tiles * parts, 1, [&](Rows range) {
    float results[kChunkRows * kTile];
    for (std::int64_t i = range.begin; i < range.end; ++i) {
      const std::int64_t s = i / parts * kTile, n = std::min(kTile, batch - s);
      const float* in = xt + i / parts * w.cols * stride;
      const std::int64_t end = std::min((i % parts + 1) * grain, groups);
      for (std::int64_t g = i % parts * grain; g < end; g += chunk) {
        const std::int64_t stop = std::min(g + chunk, end), row = g * w.height;
        const std::int64_t rows = std::min(stop * w.height, w.rows) - row;
        kernels.sparse.spmm(w, in, stride, n, bias, results, kTile, g, stop);
        kernels.dense.transpose(results, rows, n, kTile, y + s * w.rows + row, w.rows);
      }
    }
  });
}

}  // namespace

void blocks_linear(const Packed& w, const float* x, std::int64_t batch, const float* bias, float* y) {
  const PackedView view = view_blocks(w);
  if (batch < spmm_batch(view.height))
    one_by_one(view, x, batch, bias, y);
  else
    side_by_side(view, x, batch, bias, y);
}

void blocks_multiply(const Packed& w, const float* x, std::int64_t n, const float* bias, float* y) {
  const PackedView view = view_blocks(w);
  kernels::in_use().sparse.spmm(view, x, n, n, bias, y, n, 0, groups_of(view));
}

}  // namespace coppice::sparse
