#include "coppice/engine/ops/packed.h"

#include "coppice/engine/autograd.h"
#include "coppice/engine/cpu.h"
#include "coppice/engine/ops/op.h"
#include "coppice/engine/parallel.h"

namespace coppice {
namespace {

void check_types(const char* op, const Tensor& x, const Tensor& bias) {
  if (x.dtype() != Dtype::f32 || (bias.defined() && bias.dtype() != Dtype::f32))
    throw DtypeError(cat("[", op, "] packed weights take float32; got ", x.dtype()));
}

// Not in the table: a packed weight is no tensor, so that no data can call them.
constexpr OpRow kLinearRow{.name = "packed_linear", .inputs = "input [bias]", .most_inputs = 2};
constexpr OpRow kConv2dRow{.name = "packed_conv2d", .inputs = "input [bias]", .most_inputs = 2};

/// The gradient of a result that may hang in a graph, as long as nobody asks for gradients through it.
auto no_gradient(const char* op) {
  return [op](const Tensor&) -> GradList {
    throw StateError(
        cat("[backward] ", op, ": packed weights have no gradients; detach() what goes in, or unpack them"));
  };
}

}  // namespace

Tensor linear(const Tensor& x, const PackedMatrix& weight, const Tensor& bias) {
  const Op op(kLinearRow);
  check_types("linear", x, bias);
  if (x.dim() < 1 || x.size(-1) != weight.cols())
    throw ShapeError(cat("[linear] needs x: [.., ", weight.cols(), "]; got ", x.shape()));
  std::vector<std::int64_t> sizes(x.shape().begin(), x.shape().end());
  std::int64_t rows = 1;
  for (std::size_t i = 0; i + 1 < sizes.size(); ++i) rows *= sizes[i];
  sizes.back() = weight.rows();
  Tensor y = weight.linear(x.detach().reshape(Shape{rows, weight.cols()}), bias).reshape(Shape(std::move(sizes)));
  return op.with_grad(std::move(y), {x, bias}, [] { return no_gradient("linear"); });
}

Tensor conv2d(const Tensor& x, const PackedMatrix& weight, const Tensor& bias,
              const std::array<std::int64_t, 2>& kernel, const ConvOptions& options) {
  const Op op(kConv2dRow);
  check_types("conv2d", x, bias);
  const std::int64_t area = kernel[0] * kernel[1];
  if (options.groups != 1 || area < 1 || weight.cols() % area != 0)
    throw ValueError(cat("[conv2d] a packed weight has one group and whole kernels; got ", options.groups,
                         " groups and ", weight.cols(), " columns for a kernel of ", area));
  const ConvGeometry g =
      conv_geometry("conv2d", 2, x.shape(), Shape{weight.rows(), weight.cols() / area, kernel[0], kernel[1]}, options);
  if (bias.defined() && bias.shape() != Shape{g.out_channels})
    throw ShapeError(cat("[conv2d] bias must be (", g.out_channels, ",); got ", bias.shape()));
  Tensor y = Tensor::empty(conv_result_shape(g, 2));
  const float* from = x.data<float>().data();
  float* to = y.mutable_data<float>().data();
  const auto add = bias.defined() ? bias.data<float>() : std::span<const float>();
  const FlushSubnormals flush;
  const std::int64_t in = g.in_channels * g.pixels();
  const std::int64_t out = g.out_channels * g.positions();
  const std::int64_t columns = g.taps() * g.positions();
  // Work of one image: laying out its columns, and two operations per stored weight and position.
  const std::int64_t grain = 1 + (std::int64_t{1} << 18) / (columns + weight.nonzeros() * g.positions() + 1);
  parallel_for(g.batch, grain, [&](Rows images) {
    Tensor scratch = g.pointwise() ? Tensor() : Tensor::empty({columns});
    for (std::int64_t i = images.begin; i < images.end; ++i) {
      std::span<const float> source(from + i * in, static_cast<std::size_t>(in));
      if (scratch.defined()) {
        im2col(g, from + i * in, 0, scratch.mutable_data<float>().data());
        source = scratch.data<float>();
      }
      weight.multiply(source, g.positions(), {to + i * out, static_cast<std::size_t>(out)}, add);
    }
  });
  return op.with_grad(std::move(y), {x, bias}, [] { return no_gradient("conv2d"); });
}

}  // namespace coppice
