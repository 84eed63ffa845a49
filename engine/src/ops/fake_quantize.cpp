#include "coppice/engine/ops/fake_quantize.h"

#include <cmath>

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/engine/parallel.h"
#include "ops/map.h"
#include "ops/op_rows.h"
#include "quant/channels.h"
#include "quant/quantize.h"

namespace coppice {
namespace {

using quant::Channels;

/// Step and limits of one channel. A zero point that is no integer is added before rounding.
template <class T>
struct Grid {
  float scale;  // the inverse and the product are in single precision for float64 too, as in PyTorch
  T inverse, zero, low, high;
  bool integer_zero;

  [[nodiscard]] T level(T x) const {
    const T scaled = x != x ? T(0) : x * inverse;
    return integer_zero ? zero + std::nearbyint(scaled) : std::nearbyint(scaled + zero);
  }
  [[nodiscard]] T value(T x) const {
    return static_cast<T>(static_cast<float>(std::min(std::max(level(x), low), high) - zero) * scale);
  }
  /// Whether the gradient passes.
  [[nodiscard]] bool inside(T x) const { return x == x && level(x) >= low && level(x) <= high; }
};

struct Settings {
  std::vector<float> scales, zero_points;
  std::int64_t axis = 0, quant_min, quant_max;
  bool integer_zeros = true;

  template <class T>
  [[nodiscard]] Grid<T> grid(std::size_t i) const {
    return {scales[i],    T(1.0f / scales[i]), T(zero_points[i]), static_cast<T>(quant_min), static_cast<T>(quant_max),
            integer_zeros};
  }
};

void check(const char* op, const Tensor& x, const Settings& s) {
  if (!is_floating(x.dtype())) throw DtypeError(cat("[", op, "] needs a floating tensor; got ", x.dtype()));
  if (s.quant_min > s.quant_max)
    throw ValueError(cat("[", op, "] quant_min ", s.quant_min, " is above quant_max ", s.quant_max));
  for (const float scale : s.scales)
    if (!(scale > 0) || !std::isfinite(scale))
      throw ValueError(cat("[", op, "] a scale must be finite and above 0; got ", scale));
  for (const float z : s.zero_points)
    if (s.integer_zeros ? z < static_cast<float>(s.quant_min) || z > static_cast<float>(s.quant_max)
                        : !std::isfinite(z))
      throw ValueError(
          cat("[", op, "] zero point ", z, " is outside quant_min..quant_max, ", s.quant_min, "..", s.quant_max));
}

/// f(grid, i) for every element.
template <class T, class F>
void each(const Shape& shape, const Settings& s, bool per_channel, F f) {
  if (!per_channel) {
    parallel_for(shape.numel(), detail::kElementGrain / 8, [&, grid = s.grid<T>(0)](Rows r) {
      for (std::int64_t i = r.begin; i < r.end; ++i) f(grid, i);
    });
    return;
  }
  Channels(shape, s.axis).each([&](std::int64_t channel, std::int64_t begin, std::int64_t end) {
    const Grid<T> grid = s.grid<T>(static_cast<std::size_t>(channel));
    for (std::int64_t i = begin; i < end; ++i) f(grid, i);
  });
}

template <class Scope>
Tensor faked(const Scope& op, const Tensor& x, const TensorList& inputs, const Settings& s, bool per_channel) {
  const Dtype inner = detail::compute_dtype(x.dtype());
  Tensor y = Tensor::empty(x.shape(), inner);
  const Tensor from = x.detach().to(inner);
  detail::dispatch_float(inner, [&]<class T>() {
    const T* in = from.data<T>().data();
    T* out = y.mutable_data<T>().data();
    each<T>(x.shape(), s, per_channel, [=](const Grid<T>& grid, std::int64_t i) { out[i] = grid.value(in[i]); });
  });
  return op.with_grad(y.to(x.dtype()), inputs, [&] {
    return [saved = Saved(x), s, per_channel, inner, count = inputs.size()](const Tensor& gradient) {
      const Tensor dy = gradient.to(inner), at = saved().to(inner);
      Tensor dx = Tensor::empty(dy.shape(), inner);
      detail::dispatch_float(inner, [&]<class T>() {
        const T *g = dy.data<T>().data(), *in = at.data<T>().data();
        T* out = dx.mutable_data<T>().data();
        each<T>(dy.shape(), s, per_channel,
                [=](const Grid<T>& grid, std::int64_t i) { out[i] = grid.inside(in[i]) ? g[i] : T(0); });
      });
      GradList all(count);  // scales and zero points get none
      all[0] = dx.to(gradient.dtype());
      return all;
    };
  });
}

constexpr AttributeRow kPerTensor[] = {{"scale", AttributeKind::number},
                                       {"zero_point", AttributeKind::integer},
                                       {"quant_min", AttributeKind::integer},
                                       {"quant_max", AttributeKind::integer}};
constexpr AttributeRow kPerChannel[] = {
    {"axis", AttributeKind::integer}, {"quant_min", AttributeKind::integer}, {"quant_max", AttributeKind::integer}};

// name, PyTorch, ONNX, inputs, attributes, flags, call
constexpr OpRow kPerTensorRow =
    rows::row("fake_quantize_per_tensor_affine", "torch.fake_quantize_per_tensor_affine", "", "input", kPerTensor,
              OpFlags::differentiable, [](rows::In in, rows::With a) {
                return TensorList{fake_quantize_per_tensor_affine(in[0], a.number("scale"), a.integer("zero_point"),
                                                                  a.integer("quant_min"), a.integer("quant_max"))};
              });
constexpr OpRow kPerChannelRow =
    rows::row("fake_quantize_per_channel_affine", "torch.fake_quantize_per_channel_affine", "",
              "input scales zero_points", kPerChannel, OpFlags::differentiable, [](rows::In in, rows::With a) {
                return TensorList{fake_quantize_per_channel_affine(in[0], in[1], in[2], a.integer("axis"),
                                                                   a.integer("quant_min"), a.integer("quant_max"))};
              });

}  // namespace

rows::Rows rows::fake_quantize() {
  static constexpr const OpRow* kRows[] = {&kPerTensorRow, &kPerChannelRow};
  return kRows;
}

Tensor fake_quantize_per_tensor_affine(const Tensor& x, double scale, std::int64_t zero_point, std::int64_t quant_min,
                                       std::int64_t quant_max) {
  const Op op(kPerTensorRow, [=](Arguments& a) {
    a.set("scale", scale);
    a.set("zero_point", zero_point);
    a.set("quant_min", quant_min);
    a.set("quant_max", quant_max);
  });
  const Settings s{{static_cast<float>(scale)}, {static_cast<float>(zero_point)}, 0, quant_min, quant_max};
  check("fake_quantize_per_tensor_affine", x, s);
  return faked(op, x, {x}, s, false);
}

Tensor fake_quantize_per_channel_affine(const Tensor& x, const Tensor& scales, const Tensor& zero_points,
                                        std::int64_t axis, std::int64_t quant_min, std::int64_t quant_max) {
  constexpr const char* kName = "fake_quantize_per_channel_affine";
  const Op op(kPerChannelRow, [=](Arguments& a) {
    a.set("axis", axis);
    a.set("quant_min", quant_min);
    a.set("quant_max", quant_max);
  });
  if (axis < 0 || axis >= x.dim()) throw IndexError(cat("[", kName, "] there is no axis ", axis, " in ", x.shape()));
  if (scales.shape() != Shape{x.size(axis)} || zero_points.shape() != scales.shape())
    throw ShapeError(cat("[", kName, "] scales ", scales.shape(), " and zero points ", zero_points.shape(),
                         " for axis ", axis, " of ", x.shape()));
  const Settings s{scales.to_vector<float>(),        zero_points.to_vector<float>(), axis, quant_min, quant_max,
                   !is_floating(zero_points.dtype())};
  check(kName, x, s);
  return faked(op, x, {x, scales, zero_points}, s, true);
}

}  // namespace coppice
