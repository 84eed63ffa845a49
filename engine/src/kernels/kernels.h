#pragma once
/// Table of the kernels that exist once per instruction-set level.

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
  void (*vexp)(const float* x, float* y, std::int64_t n);
  void (*vtanh)(const float* x, float* y, std::int64_t n);
  void (*vsigmoid)(const float* x, float* y, std::int64_t n);
  void (*lstm_cell)(const float* gates, const float* c_prev, float* c, float* h, float* acts, std::int64_t hidden);

  // Steps of a selection; select_keys.h says what keys are.
  void (*keys_f32)(const float* x, std::uint32_t* keys, std::int64_t n, bool magnitude);
  std::int64_t (*count_equal)(const std::uint32_t* keys, std::int64_t n, std::uint32_t key);
  /// Copies keys in low .. low + width to `out` (room for n more), returns how many; adds those below to `below`.
  std::int64_t (*bracket)(const std::uint32_t* keys, std::int64_t n, std::uint32_t low, std::uint32_t width,
                          std::uint32_t* out, std::int64_t* below);
  /// `one` where first_kept <= key != none, else 0.
  void (*mask_words)(const std::uint32_t* keys, std::int64_t n, std::uint32_t first_kept, std::uint32_t none,
                     std::uint32_t one, std::uint32_t* out);
  /// bracket() of the keys of magnitudes, which are not stored.
  std::int64_t (*bracket_f32)(const float* x, std::int64_t n, std::uint32_t low, std::uint32_t width,
                              std::uint32_t* out, std::int64_t* below);
  /// mask_words() of the keys of magnitudes; returns how many are equal to `key`, which is no NaN's.
  std::int64_t (*mask_f32)(const float* x, std::int64_t n, std::uint32_t first_kept, std::uint32_t key,
                           std::uint32_t one, std::uint32_t* out);
};

/// The table of the level in use, cpu_level().
[[nodiscard]] const DenseKernels& dense_kernels();

// One per compilation of dense_level.cpp.
extern const DenseKernels kDense_v2;
extern const DenseKernels kDense_v3;
extern const DenseKernels kDense_v4;
extern const DenseKernels kDense_baseline;

}  // namespace coppice::kernels
