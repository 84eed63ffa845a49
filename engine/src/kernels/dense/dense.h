#pragma once
/// Dense products and transposition, one table per instruction-set level.

#include <cstdint>

#include "gemm.h"

namespace coppice::kernels {

// Blocks of a packed product: an op(A) block of kBlockM x kBlockK stays in the second-level cache while panels of
// op(B), kBlockK x 2 vectors, pass through the first (bench/spmm_bench, dense rows).
inline constexpr std::int64_t kBlockM = 240;
inline constexpr std::int64_t kBlockN = 512;
inline constexpr std::int64_t kBlockK = 256;

/// Elements of scratch memory that a product may use, 64-byte aligned.
inline constexpr std::int64_t kScratch = (kBlockM + kBlockN) * kBlockK;

struct DenseKernels {
  void (*gemm_f32)(const Gemm<float>& p, float* scratch);
  void (*gemm_f64)(const Gemm<double>& p, double* scratch);

  /// out[c * out_stride + r] = in[r * in_stride + c]
  void (*transpose)(const float* in, std::int64_t rows, std::int64_t cols, std::int64_t in_stride, float* out,
                    std::int64_t out_stride);
};

}  // namespace coppice::kernels
