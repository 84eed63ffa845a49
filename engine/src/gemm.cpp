#include "gemm.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>

#include "blas.h"
#include "coppice/engine/parallel.h"
#include "kernels/levels.h"

namespace coppice::kernels {

namespace {

struct Free {
  void operator()(void* p) const { std::free(p); }
};

/// This thread's scratch memory. Kept, so that a product in a loop allocates nothing.
void* scratch() {
  thread_local std::unique_ptr<void, Free> memory;
  if (!memory) {
    memory.reset(std::aligned_alloc(64, static_cast<std::size_t>(kScratch) * sizeof(double)));
    if (!memory) throw std::bad_alloc();
  }
  return memory.get();
}

void run_own(const DenseKernels& kernels, const Gemm<float>& p) { kernels.gemm_f32(p, static_cast<float*>(scratch())); }
void run_own(const DenseKernels& kernels, const Gemm<double>& p) {
  kernels.gemm_f64(p, static_cast<double*>(scratch()));
}

template <class T>
void run(const DenseKernels& kernels, const Gemm<T>& p) {
#ifdef COPPICE_BLAS
  if (blas_product(p)) return;
#endif
  run_own(kernels, p);
}

/// Rows and columns of a tile of the parallel grid: a function of the sizes alone.
struct Tile {
  std::int64_t rows, cols;
};

// A tile of less than 4 MFLOP, or 1 MB of operands for few rows, is not worth a task (about 20 µs).
constexpr std::int64_t kTileWork = 2'000'000;
constexpr std::int64_t kTileBytes = 1 << 20;

template <class T>
Tile tile_of(const Gemm<T>& p) {
  Tile t{std::min(p.m, kBlockM), std::min(p.n, kBlockN)};
  const auto worth = [&](std::int64_t rows, std::int64_t cols) {
    return rows * cols * p.k >= kTileWork || (rows + cols) * p.k * static_cast<std::int64_t>(sizeof(T)) >= kTileBytes;
  };
  // Fewer than 16 tiles balance badly: halve the longer side while the halves are worth a task.
  while ((p.m + t.rows - 1) / t.rows * ((p.n + t.cols - 1) / t.cols) < 16) {
    if (t.cols >= t.rows && t.cols >= 64 && worth(t.rows, t.cols / 2))
      t.cols = (t.cols / 2 + 31) / 32 * 32;
    else if (t.rows > t.cols && t.rows >= 48 && worth(t.rows / 2, t.cols))
      t.rows = (t.rows / 2 + 11) / 12 * 12;
    else
      break;
  }
  // A grid that is not worth its tasks at all becomes one tile.
  if (!worth(t.rows, t.cols)) {
    t.cols = worth(t.rows, p.n) || p.n <= kBlockN ? t.cols : p.n;
    if (!worth(t.rows, t.cols)) t = {p.m, p.n};
  }
  return t;
}

template <class T>
void parallel_gemm(const Gemm<T>& p) {
  if (p.m <= 0 || p.n <= 0) return;
  const DenseKernels& kernels = in_use().dense;
  const Tile tile = tile_of(p);
  const std::int64_t down = (p.m + tile.rows - 1) / tile.rows;
  const std::int64_t across = (p.n + tile.cols - 1) / tile.cols;
  parallel_for(down * across, 1, [&](Rows range) {
    for (std::int64_t i = range.begin; i < range.end; ++i) {
      const std::int64_t row = i / across * tile.rows, col = i % across * tile.cols;
      Gemm<T> part = p;
      part.m = std::min(tile.rows, p.m - row);
      part.n = std::min(tile.cols, p.n - col);
      part.a += row * (p.trans_a ? 1 : p.lda);
      part.b += col * (p.trans_b ? p.ldb : 1);
      part.c += row * p.ldc + col;
      if (part.row_bias) part.row_bias += col;
      if (part.col_bias) part.col_bias += row;
      run(kernels, part);
    }
  });
}

}  // namespace

void gemm(const Gemm<float>& p) { parallel_gemm(p); }
void gemm(const Gemm<double>& p) { parallel_gemm(p); }
void gemm_serial(const Gemm<float>& p) { run(in_use().dense, p); }
void gemm_serial(const Gemm<double>& p) { run(in_use().dense, p); }

}  // namespace coppice::kernels
