#pragma once
/// Block-sparse weights of bytes, and their products. The rules are those of int8_linear.h; zero points of weights are
/// 0, so that what is not stored counts nothing.

#include "int8_linear.h"

namespace coppice::quant {

/// Weights [n, k] as lists of blocks `height` x 4: four neighbouring inputs of an output are one dot product. Blocks
/// that are all 0 are not stored.
class Int8Matrix {
 public:
  /// @param height  1, 4, 8 or 16
  /// @param weight  [n, k], row-major
  Int8Matrix(std::int64_t n, std::int64_t k, std::int64_t height, std::span<const std::int8_t> weight);

  [[nodiscard]] std::int64_t outputs() const { return n_; }
  [[nodiscard]] std::int64_t inputs() const { return k_; }
  [[nodiscard]] std::int64_t height() const { return height_; }
  [[nodiscard]] std::int64_t blocks() const { return offsets_.back(); }
  /// Of values, columns and offsets.
  [[nodiscard]] std::int64_t bytes() const;
  /// [whole panels] sum_k wq
  [[nodiscard]] std::span<const std::int32_t> columns() const { return sums_; }
  [[nodiscard]] kernels::Int8Blocks view() const;
  /// The tiles made of the blocks; without offsets where the unit in use at packing had none, or where they would not
  /// pay.
  [[nodiscard]] kernels::Int8Tiles tiles() const;

 private:
  std::int64_t n_, k_, height_;
  std::vector<std::int32_t> offsets_, columns32_, sums_;
  std::vector<std::int16_t> columns16_;  // in their place where they fit
  Aligned<std::int8_t> values_;
  std::vector<std::int32_t> tile_offsets_, tile_columns_;
  Aligned<std::int8_t> tile_values_;
  void make_tiles();
};

/// y = x W^T as multiply() of dense weights does it. Few samples run one by one, more side by side.
void multiply(const Int8Matrix& w, std::int64_t m, const std::uint8_t* x, std::int64_t x_stride, kernels::Int8Out out,
              void* y);

}  // namespace coppice::quant
