#pragma once
/// Products of packed sparse matrices, one table per instruction-set level.

#include <cstdint>

namespace coppice::kernels {

/// Rows are taken in groups of `height`; a group is a run of blocks, each `height` values of one input column.
/// CSR is the case height == 1. Rows that the last group lacks have value 0.
struct PackedView {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t height = 1;                  // 1, 4, 8 or 16
  const std::int32_t* offsets = nullptr;    // [groups + 1], into columns
  const std::int16_t* columns16 = nullptr;  // one of the two
  const std::int32_t* columns32 = nullptr;
  const float* values = nullptr;  // [blocks, height]
};

struct SparseKernels {
  /// y[r] = w[r, :] x + bias[r] for the rows of groups begin .. end. `bias` may be null.
  void (*spmv)(const PackedView& w, const float* x, const float* bias, float* y, std::int64_t begin, std::int64_t end);

  /// y[r, s] = w[r, :] x[:, s] + bias[r] for n samples s; rows of x and y are `x_stride` and `y_stride` apart, and y
  /// starts with the first row of group `begin`. The sum of an element runs in the same order whatever n is.
  void (*spmm)(const PackedView& w, const float* x, std::int64_t x_stride, std::int64_t n, const float* bias, float* y,
               std::int64_t y_stride, std::int64_t begin, std::int64_t end);

  /// A row of a bitmask matrix as dense numbers; returns the first value that it did not use.
  const float* (*expand)(const std::uint8_t* mask, const float* values, const float* values_end, std::int64_t cols,
                         float* out);
};

}  // namespace coppice::kernels
