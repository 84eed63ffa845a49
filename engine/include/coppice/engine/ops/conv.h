#pragma once
/// Convolutions (cross-correlations, as in PyTorch) over one, two or three axes.

#include <array>
#include <cstdint>
#include <vector>

#include "coppice/engine/tensor.h"

namespace coppice {

/// Settings of a convolution. Each list holds one number per spatial axis, or one for all of them.
struct ConvOptions {
  std::vector<std::int64_t> stride = {1};    ///< 1 to 2^31 - 1
  std::vector<std::int64_t> padding = {0};   ///< zeros on both sides, 0 to 2^31 - 1
  std::vector<std::int64_t> dilation = {1};  ///< distance of kernel taps, 1 to 2^31 - 1
  std::int64_t groups = 1;                   ///< divides in and out channels
};

/// A convolution with all sizes worked out, as three spatial axes (missing ones have size 1).
struct ConvGeometry {
  std::int64_t batch = 0, in_channels = 0, out_channels = 0, groups = 1;
  std::array<std::int64_t, 3> input{1, 1, 1}, kernel{1, 1, 1}, output{1, 1, 1};
  std::array<std::int64_t, 3> stride{1, 1, 1}, padding{0, 0, 0}, dilation{1, 1, 1};

  /// Rows of the column matrix of one group: in_channels / groups * kernel taps.
  [[nodiscard]] std::int64_t taps() const;
  [[nodiscard]] std::int64_t positions() const { return output[0] * output[1] * output[2]; }
  [[nodiscard]] std::int64_t pixels() const { return input[0] * input[1] * input[2]; }
  /// The column matrix of an image is the image itself.
  [[nodiscard]] bool pointwise() const;
};

/// @param spatial  number of spatial axes, 1 to 3
/// @param x        [n, in, ...]; @param weight  [out, in / groups, ...kernel]
/// @throws ShapeError, ValueError naming `op`; LimitError  if padding asks for sizes that no memory holds
[[nodiscard]] ConvGeometry conv_geometry(const char* op, int spatial, const Shape& x, const Shape& weight,
                                         const ConvOptions& options);

/// Shape of the result: [n, out, ...output] with `spatial` spatial axes.
[[nodiscard]] Shape conv_result_shape(const ConvGeometry& g, int spatial);

/// Lays the windows of group `group` of one image out as a matrix [taps, positions].
template <class T>
void im2col(const ConvGeometry& g, const T* image, std::int64_t group, T* columns);

/// x: [n, in, l], [n, in, h, w] or [n, in, d, h, w]; weight: [out, in / groups, ...kernel]; bias: [out] or undefined.
/// Result: [n, out, ...] with size (in + 2 padding - dilation (kernel - 1) - 1) / stride + 1 per axis, rounded down.
/// Equal bits for any number of threads. @throws ShapeError, ValueError, DtypeError
/// Cost: per image and group one product [out, taps] x [taps, positions], and memory for its columns per task unless
/// the kernel is 1 wide. Source: torch.nn.functional.conv1d, conv2d, conv3d
[[nodiscard]] Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvOptions& options = {});
[[nodiscard]] Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvOptions& options = {});
[[nodiscard]] Tensor conv3d(const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvOptions& options = {});

}  // namespace coppice
