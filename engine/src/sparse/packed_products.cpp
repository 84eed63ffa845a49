// Products of packed matrices: cuts the work into tasks and arranges samples; the arithmetic is in src/kernels.
#include <algorithm>

#include "../gemm.h"
#include "coppice/engine/cpu.h"
#include "coppice/engine/error.h"
#include "coppice/engine/parallel.h"
#include "formats.h"
#include "kernels/levels.h"

namespace coppice {

namespace {

using kernels::PackedView;

constexpr std::int64_t kTile = 64;                 // samples that share one pass over the weights
constexpr std::int64_t kChunkRows = 64;            // rows whose results are transposed together, in the cache
constexpr std::int64_t kTaskProducts = 1'000'000;  // about 20 µs
constexpr std::int64_t kPackColumns = 1024;        // of a task that transposes samples
constexpr std::int64_t kPanel = 16;                // rows of a bitmask that are expanded at a time

/// From this batch on samples are transposed and run side by side (bench/spmm_bench).
std::int64_t spmm_batch(std::int64_t height) { return height == 1 ? 4 : 6; }

/// This thread's memory for at least n floats; kept, so that repeated inference allocates nothing.
float* scratch(std::size_t n) {
  thread_local std::vector<float> memory;
  if (memory.size() < n) memory.resize(n);
  return memory.data();
}

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

Tensor PackedMatrix::linear(const Tensor& x, const Tensor& bias) const {
  if (x.dtype() != Dtype::f32 || (bias.defined() && bias.dtype() != Dtype::f32))
    throw DtypeError(cat("[PackedMatrix::linear] x and bias must be float32; x is ", x.dtype()));
  if (x.dim() != 2 || x.size(1) != cols_)
    throw ShapeError(cat("[PackedMatrix::linear] needs x: [batch, ", cols_, "]; got ", x.shape()));
  if (bias.defined() && bias.shape() != Shape{rows_})
    throw ShapeError(cat("[PackedMatrix::linear] needs bias: [", rows_, "]; got ", bias.shape()));
  check_unchanged("linear");
  const std::int64_t batch = x.size(0);
  Tensor y = Tensor::empty(Shape{batch, rows_});
  if (y.numel() == 0) return y;
  const FlushSubnormals flush;
  const float* in = x.data<float>().data();
  float* out = y.mutable_data<float>().data();
  const float* b = bias.defined() ? bias.data<float>().data() : nullptr;
  kernels::Gemm<float> product{.m = batch,
                               .n = rows_,
                               .k = cols_,
                               .a = in,
                               .lda = cols_,
                               .ldb = cols_,
                               .trans_b = true,
                               .c = out,
                               .ldc = rows_,
                               .row_bias = b};
  if (format_ == PackedFormat::dense) {
    product.b = member("values").data<float>().data();
    kernels::gemm(product);
  } else if (format_ == PackedFormat::bitmask) {
    const std::int64_t per_panel = kPanel * cols_ * batch;
    const std::int64_t panels = std::max<std::int64_t>(kTaskProducts / std::max<std::int64_t>(per_panel, 1), 1);
    parallel_for(rows_, panels * kPanel, [&](Rows range) {
      for (std::int64_t r = range.begin; r < range.end; r += kPanel) {
        const std::int64_t end = std::min(r + kPanel, range.end);
        float* rows = scratch(static_cast<std::size_t>(kPanel * cols_));
        sparse::expand_bitmask(held_->members, cols_, r, end, rows);
        kernels::Gemm<float> part = product;
        part.n = end - r;
        part.b = rows;
        part.c += r;
        if (b) part.row_bias = b + r;
        kernels::gemm_serial(part);
      }
    });
  } else {
    const PackedView view = sparse::view_blocks(held_->members, rows_, cols_, sparse::block_height(format_));
    if (batch < spmm_batch(view.height))
      one_by_one(view, in, batch, b, out);
    else
      side_by_side(view, in, batch, b, out);
  }
  return y;
}

void PackedMatrix::multiply(std::span<const float> x, std::int64_t n, std::span<float> y,
                            std::span<const float> bias) const {
  if (n < 0 || std::ssize(x) != cols_ * n || std::ssize(y) != rows_ * n || (!bias.empty() && std::ssize(bias) != rows_))
    throw ShapeError(cat("[PackedMatrix::multiply] needs x: [", cols_, ", n], y: [", rows_, ", n], bias: [", rows_,
                         "] or empty with n = ", n, "; got ", x.size(), ", ", y.size(), " and ", bias.size(),
                         " elements"));
  check_unchanged("multiply");
  if (y.empty()) return;
  const FlushSubnormals flush;
  const float* b = bias.empty() ? nullptr : bias.data();
  kernels::Gemm<float> product{
      .m = rows_, .n = n, .k = cols_, .lda = cols_, .b = x.data(), .ldb = n, .c = y.data(), .ldc = n, .col_bias = b};
  if (format_ == PackedFormat::dense) {
    product.a = member("values").data<float>().data();
    kernels::gemm_serial(product);
  } else if (format_ == PackedFormat::bitmask) {
    for (std::int64_t r = 0; r < rows_; r += kPanel) {
      const std::int64_t end = std::min(r + kPanel, rows_);
      float* rows = scratch(static_cast<std::size_t>(kPanel * cols_));
      sparse::expand_bitmask(held_->members, cols_, r, end, rows);
      kernels::Gemm<float> part = product;
      part.m = end - r;
      part.a = rows;
      part.c += r * n;
      if (b) part.col_bias = b + r;
      kernels::gemm_serial(part);
    }
  } else {
    const PackedView view = sparse::view_blocks(held_->members, rows_, cols_, sparse::block_height(format_));
    kernels::in_use().sparse.spmm(view, x.data(), n, n, b, y.data(), n, 0, groups_of(view));
  }
}

}  // namespace coppice
