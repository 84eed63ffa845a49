#include "coppice/engine/ops/conv.h"

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/reduce.h"
#include "gemm.h"
#include "ops/im2col.h"
#include "ops/map.h"
#include "ops/op_rows.h"

namespace coppice {
namespace {

/// Sizes of the matrices of one group: weight [rows, taps] x columns [taps, positions] -> [rows, positions].
struct GroupSizes {
  std::int64_t rows, taps, positions, in_block, out_block;
  explicit GroupSizes(const ConvGeometry& g)
      : rows(g.out_channels / g.groups),
        taps(g.taps()),
        positions(g.positions()),
        in_block(g.in_channels / g.groups * g.pixels()),
        out_block(rows * positions) {}
};

template <class T>
void forward_images(const ConvGeometry& g, const T* x, const T* w, const T* bias, T* y, Rows images) {
  const GroupSizes s(g);
  Tensor scratch = g.pointwise() ? Tensor() : Tensor::empty({s.taps, s.positions}, dtype_of<T>);
  T* columns = scratch.defined() ? scratch.mutable_data<T>().data() : nullptr;
  for (std::int64_t i = images.begin; i < images.end; ++i)
    for (std::int64_t group = 0; group < g.groups; ++group) {
      const T* image = x + i * g.in_channels * g.pixels();
      if (columns != nullptr) im2col(g, image, group, columns);
      kernels::Gemm<T> p;
      p.m = s.rows, p.n = s.positions, p.k = s.taps;
      p.a = w + group * s.rows * s.taps, p.lda = s.taps;
      p.b = columns != nullptr ? columns : image + group * s.in_block, p.ldb = s.positions;
      p.c = y + (i * g.groups + group) * s.out_block, p.ldc = s.positions;
      p.col_bias = bias != nullptr ? bias + group * s.rows : nullptr;
      if (g.batch == 1)
        kernels::gemm(p);
      else
        kernels::gemm_serial(p);
    }
}

template <class T>
void input_gradient(const ConvGeometry& g, const T* dy, const T* w, T* dx, Rows images) {
  const GroupSizes s(g);
  Tensor scratch = Tensor::empty({s.taps, s.positions}, dtype_of<T>);
  T* columns = scratch.mutable_data<T>().data();
  for (std::int64_t i = images.begin; i < images.end; ++i)
    for (std::int64_t group = 0; group < g.groups; ++group) {
      kernels::Gemm<T> p;  // Wᵀ dY
      p.m = s.taps, p.n = s.positions, p.k = s.rows;
      p.a = w + group * s.rows * s.taps, p.lda = s.taps, p.trans_a = true;
      p.b = dy + (i * g.groups + group) * s.out_block, p.ldb = s.positions;
      p.c = columns, p.ldc = s.positions;
      kernels::gemm_serial(p);
      col2im(g, columns, group, dx + i * g.in_channels * g.pixels());
    }
}

template <class T>
void weight_gradient(const ConvGeometry& g, const T* dy, const T* x, T* dw, Rows images) {
  const GroupSizes s(g);
  Tensor scratch = Tensor::empty({s.taps, s.positions}, dtype_of<T>);
  T* columns = scratch.mutable_data<T>().data();
  for (std::int64_t i = images.begin; i < images.end; ++i)
    for (std::int64_t group = 0; group < g.groups; ++group) {
      im2col(g, x + i * g.in_channels * g.pixels(), group, columns);
      kernels::Gemm<T> p;  // dY columnsᵀ
      p.m = s.rows, p.n = s.taps, p.k = s.positions;
      p.a = dy + (i * g.groups + group) * s.out_block, p.lda = s.positions;
      p.b = columns, p.ldb = s.positions, p.trans_b = true;
      p.c = dw + group * s.rows * s.taps, p.ldc = s.taps, p.accumulate = true;
      kernels::gemm_serial(p);
    }
}

/// Pieces of a batch whose weight gradients are summed in order: few, and not depending on the threads.
std::int64_t piece_size(std::int64_t batch) { return std::max<std::int64_t>(4, (batch + 7) / 8); }

Tensor forward(const ConvGeometry& g, const Tensor& x, const Tensor& w, const Tensor& bias, const Shape& shape) {
  Tensor y = Tensor::empty(shape, x.dtype());
  detail::dispatch_float(x.dtype(), [&]<class T>() {
    const T* px = x.data<T>().data();
    const T* pw = w.data<T>().data();
    const T* pb = bias.defined() ? bias.data<T>().data() : nullptr;
    T* py = y.mutable_data<T>().data();
    parallel_for(g.batch, images_per_task(g), [&](Rows images) { forward_images(g, px, pw, pb, py, images); });
  });
  return y;
}

Tensor gradient_of_input(const ConvGeometry& g, const Tensor& dy, const Tensor& w, const Shape& shape) {
  Tensor dx = zeros(shape, dy.dtype());
  detail::dispatch_float(dy.dtype(), [&]<class T>() {
    const T* pdy = dy.data<T>().data();
    const T* pw = w.data<T>().data();
    T* pdx = dx.mutable_data<T>().data();
    parallel_for(g.batch, images_per_task(g), [&](Rows images) { input_gradient(g, pdy, pw, pdx, images); });
  });
  return dx;
}

Tensor gradient_of_weight(const ConvGeometry& g, const Tensor& dy, const Tensor& x, const Shape& shape) {
  const std::int64_t size = piece_size(g.batch);
  const std::int64_t pieces = (g.batch + size - 1) / size;
  Tensor parts = zeros({pieces, shape.numel()}, dy.dtype());
  detail::dispatch_float(dy.dtype(), [&]<class T>() {
    const T* pdy = dy.data<T>().data();
    const T* px = x.data<T>().data();
    T* to = parts.mutable_data<T>().data();
    parallel_for(g.batch, size,
                 [&](Rows images) { weight_gradient(g, pdy, px, to + images.begin / size * shape.numel(), images); });
  });
  return sum(parts, {0}).reshape(shape);
}

constexpr AttributeRow kConv[] = {{"stride", AttributeKind::integers, std::int64_t{1}},
                                  {"padding", AttributeKind::integers, std::int64_t{0}},
                                  {"dilation", AttributeKind::integers, std::int64_t{1}},
                                  {"groups", AttributeKind::integer, std::int64_t{1}}};

/// f(x, weight, bias, options) as `call`.
template <Tensor (*f)(const Tensor&, const Tensor&, const Tensor&, const ConvOptions&)>
constexpr auto kConvolve = [](rows::In in, rows::With a) {
  const ConvOptions options{a.integers("stride"), a.integers("padding"), a.integers("dilation"), a.integer("groups")};
  return TensorList{f(in[0], in[1], rows::input(in, 2), options)};
};

// name, PyTorch, ONNX, inputs, attributes, flags, call
constexpr OpFlags kFlags = OpFlags::differentiable | OpFlags::zero_to_zero;
constexpr OpRow kConv1dRow =
    rows::row("conv1d", "torch.nn.functional.conv1d", "Conv", "input weight [bias]", kConv, kFlags, kConvolve<conv1d>);
constexpr OpRow kConv2dRow =
    rows::row("conv2d", "torch.nn.functional.conv2d", "Conv", "input weight [bias]", kConv, kFlags, kConvolve<conv2d>);
constexpr OpRow kConv3dRow =
    rows::row("conv3d", "torch.nn.functional.conv3d", "Conv", "input weight [bias]", kConv, kFlags, kConvolve<conv3d>);

void check_types(const char* op, const ConvGeometry& g, const Tensor& x, const Tensor& w, const Tensor& bias) {
  if (!is_floating(x.dtype()) || x.dtype() != w.dtype() || (bias.defined() && bias.dtype() != x.dtype()))
    throw DtypeError(cat("[", op, "] needs equal floating types; got x ", x.dtype(), " and weight ", w.dtype()));
  if (bias.defined() && bias.shape() != Shape{g.out_channels})
    throw ShapeError(cat("[", op, "] bias must be (", g.out_channels, ",); got ", bias.shape()));
}

/// The axes of [n, c, ...] but the channels.
Axes all_but_channels(const Tensor& t) {
  Axes axes{0};
  for (std::int64_t i = 2; i < t.dim(); ++i) axes.push_back(i);
  return axes;
}

Tensor conv(const OpRow& row, int spatial, const Tensor& x, const Tensor& w, const Tensor& bias,
            const ConvOptions& options) {
  const Op op(row, [&](Arguments& a) {
    a.set("stride", options.stride);
    a.set("padding", options.padding);
    a.set("dilation", options.dilation);
    a.set("groups", options.groups);
  });
  const char* name = row.name.data();
  const ConvGeometry g = conv_geometry(name, spatial, x.shape(), w.shape(), options);
  check_types(name, g, x, w, bias);
  const Dtype inner = detail::compute_dtype(x.dtype());
  if (inner != x.dtype()) {
    const Tensor b = bias.defined() ? bias.to(inner) : bias;
    return op.result(conv(row, spatial, x.to(inner), w.to(inner), b, options).to(x.dtype()), {x, w, bias});
  }
  Tensor y = forward(g, x.detach(), w.detach(), bias.defined() ? bias.detach() : bias, conv_result_shape(g, spatial));
  return op.with_grad(std::move(y), {x, w, bias}, [&] {
    return [g, sx = Saved(x), sw = Saved(w), want_x = x.requires_grad(), want_w = w.requires_grad(),
            want_b = bias.defined() && bias.requires_grad()](const Tensor& dy) {
      return GradList{want_x ? gradient_of_input(g, dy, sw(), sx().shape()) : Tensor(),
                      want_w ? gradient_of_weight(g, dy, sx(), sw().shape()) : Tensor(),
                      want_b ? sum(dy, all_but_channels(dy)) : Tensor()};
    };
  });
}

}  // namespace

rows::Rows rows::conv() {
  static constexpr const OpRow* kRows[] = {&kConv1dRow, &kConv2dRow, &kConv3dRow};
  return kRows;
}

Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvOptions& options) {
  return conv(kConv1dRow, 1, x, weight, bias, options);
}
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvOptions& options) {
  return conv(kConv2dRow, 2, x, weight, bias, options);
}
Tensor conv3d(const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvOptions& options) {
  return conv(kConv3dRow, 3, x, weight, bias, options);
}

}  // namespace coppice
