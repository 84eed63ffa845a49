#pragma once
/// Products of quantised bytes for whole layers: packed weights, constants of a layer, and the split over threads. They
/// know no Tensor; the arithmetic is in kernels/int8.
///
/// Notation: x [m, k] unsigned bytes with (sx, zx); weights [n, k] signed bytes with sw[j], zw[j] for each output j; fl
/// rounds to float. Results are equal for any number of threads, level and unit.

#include <cstdint>
#include <span>
#include <vector>

#include "../kernels/int8/int8.h"
#include "aligned.h"

namespace coppice::quant {

/// The rule of an engine of PyTorch for static layers (kernels::Int8Rule has the formulas): fbgemm for the engines
/// fbgemm and x86, onednn for onednn and the convolutions of x86.
enum class Requantize : std::uint8_t { fbgemm, onednn, qnnpack };

/// fma(acc, scale, bias), as fbgemm, x86 and onednn do it, or a product and then a sum, as qnnpack.
enum class DynamicSum : std::uint8_t { fused, rounded };

/// Scale and zero point of one activation.
struct Affine {
  float scale = 1;
  std::int32_t zero_point = 0;
};

/// Dense weights in panels. One layout for every level and unit: it may be kept in files.
class Int8Panels {
 public:
  Int8Panels() = default;
  /// @param weight  [n, k], row-major
  /// @param zeros   zw: n of them, one for all, or none for 0
  Int8Panels(std::int64_t n, std::int64_t k, std::span<const std::int8_t> weight, std::span<const std::int32_t> zeros);

  [[nodiscard]] std::int64_t outputs() const { return n_; }
  [[nodiscard]] std::int64_t inputs() const { return k_; }
  [[nodiscard]] const std::int8_t* data() const { return panels_.get(); }
  /// [whole panels] sum_k (wq - zw)
  [[nodiscard]] std::span<const std::int32_t> columns() const { return columns_; }
  /// [whole panels] zw; empty when all are 0
  [[nodiscard]] std::span<const std::int32_t> zeros() const { return zeros_; }

 private:
  std::int64_t n_ = 0, k_ = 0;
  Aligned<std::int8_t> panels_;
  std::vector<std::int32_t> columns_, zeros_;
};

/// Constants of a layer with float output: fl(sw), and the bias.
struct DynamicConstants {
  std::vector<float> scale, bias;  // [whole panels]

  /// @param scales  sw: n of them or one for all
  /// @param bias    n of them, or empty
  DynamicConstants(std::int64_t n, std::span<const double> scales, std::span<const float> bias);
};

/// Constants of a layer whose input and output have fixed parameters.
struct StaticConstants {
  Requantize rule = Requantize::fbgemm;
  Affine x, y;
  bool relu = false;               // clamps at y's zero point
  std::vector<float> scale, term;  // [whole panels] m, and fl(bias / aw)
  std::vector<std::int32_t> bias;  // [whole panels], of qnnpack

  /// aw = fl(fl(sx) fl(sw)); m = fl(aw / fl(sy)), or fl(aw fl(1 / sy)) for qnnpack.
  StaticConstants(Requantize rule, Affine x, Affine y, bool relu, std::int64_t n, std::span<const double> scales,
                  std::span<const float> bias);
};

/// What is written for these constants; y is filled in by the products.
[[nodiscard]] kernels::Int8Out output_of(const StaticConstants& constants);
[[nodiscard]] kernels::Int8Out output_of(const DynamicConstants& constants, DynamicSum sum, Affine x, bool relu);

/// Bytes from one row of activations to the next that products want: k rounded up to whole steps of 4.
[[nodiscard]] std::int64_t row_stride(std::int64_t k);

/// y = x W^T through `out`, whose y, y_stride, columns, zeros and row_sums are set here.
///
/// @param x  [m, x_stride], x_stride at least k; rows are copied where they cannot be read in whole fours: x_stride is
///           below row_stride(k) or no multiple of 4
/// @param y  [m, n] of int32, float or bytes, as out.rule says
void multiply(const Int8Panels& w, std::int64_t m, const std::uint8_t* x, std::int64_t x_stride, kernels::Int8Out out,
              void* y);

/// Bytes of n floats; ranges of them on the threads.
void quantize(std::span<const float> x, const kernels::Int8Scale& scale, std::uint8_t* q);
/// Bytes of a matrix [m, k] of floats, whose rows start row_stride(k) apart.
void quantize_rows(const float* x, std::int64_t m, std::int64_t k, const kernels::Int8Scale& scale, std::uint8_t* q);
/// Smallest and largest number of x, NaN passed over; {inf, -inf} when there is none.
[[nodiscard]] kernels::FloatRange range_of(std::span<const float> x);

}  // namespace coppice::quant
