#pragma once
/// Convolutions of bytes with bytes out, exact as the products of int8_linear.h; they know no Tensor.

#include <array>

#include "int8_linear.h"

namespace coppice::quant {

enum class Padding : std::uint8_t { zeros, reflect };

/// A two-dimensional convolution. Sizes are of height and width; with reflect, padding is below the size of the input.
struct ConvShape {
  std::int64_t in_channels = 1, out_channels = 1, groups = 1;
  std::array<std::int64_t, 2> input{1, 1}, kernel{1, 1}, stride{1, 1}, padding{0, 0}, dilation{1, 1};
  Padding mode = Padding::zeros;

  /// Height (0) and width (1) of the output; not above 0 where the kernel does not fit.
  [[nodiscard]] std::int64_t output(std::size_t axis) const {
    return (input[axis] + 2 * padding[axis] - dilation[axis] * (kernel[axis] - 1) - 1) / stride[axis] + 1;
  }
};

/// Weights in panels, one set for each group, with inputs ordered (kernel row, kernel column, channel).
class Int8ConvWeights {
 public:
  /// @param weight  [out_channels, in_channels / groups, kernel]
  /// @param zeros   zw: out_channels of them, one for all, or none for 0
  Int8ConvWeights(const ConvShape& shape, std::span<const std::int8_t> weight, std::span<const std::int32_t> zeros);
  [[nodiscard]] const Int8Panels& group(std::int64_t g) const { return groups_[static_cast<std::size_t>(g)]; }

 private:
  std::vector<Int8Panels> groups_;
};

/// y = conv2d(x, w) by the rule of `constants`; padding of zeros counts as x's zero point.
///
/// @param x  [batch, in_channels, input]
/// @param y  [batch, out_channels, output]
void conv2d(const ConvShape& shape, const Int8ConvWeights& w, const StaticConstants& constants, std::int64_t batch,
            const std::uint8_t* x, std::uint8_t* y);

}  // namespace coppice::quant
