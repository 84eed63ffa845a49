#include "coppice/engine/ops/pool.h"

#include <algorithm>
#include <limits>

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "ops/map.h"
#include "ops/op_rows.h"
#include "quant/integers.h"

namespace coppice {
namespace {

/// Planes of [h, w] and the output size.
struct Planes {
  std::int64_t count = 1, h = 0, w = 0, oh = 0, ow = 0;
  Shape result;
};

/// A window cut to the input; `divisor` is what its sum is divided by.
struct Window {
  std::int64_t h0, h1, w0, w1;
  double divisor;
};

/// Floor of a / b for b > 0.
std::int64_t floor_div(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

/// Throws unless a setting is a number that sums and products of a few such numbers cannot overflow.
void check_setting(const char* op, const char* name, std::int64_t value, std::int64_t least) {
  if (value < least || value > INT32_MAX)
    throw ValueError(cat("[", op, "] ", name, " must be in ", least, "..", INT32_MAX, "; got ", value));
}

/// Taps [first, last) of a window that begins at `start` which fall on 0..size - 1.
struct Taps {
  std::int64_t first, last;
  Taps(std::int64_t start, std::int64_t kernel, std::int64_t dilation, std::int64_t size)
      : first(start < 0 ? (dilation - 1 - start) / dilation : 0),
        last(start + (kernel - 1) * dilation < size ? kernel
             : start < size                         ? (size - start + dilation - 1) / dilation
                                                    : 0) {}
};

Planes planes_of(const char* op, const Tensor& x, Pair output) {
  if (x.dim() != 3 && x.dim() != 4)
    throw ShapeError(cat("[", op, "] needs [n, c, h, w] or [c, h, w]; got ", x.shape()));
  Planes p;
  p.h = x.size(-2), p.w = x.size(-1), p.oh = output[0], p.ow = output[1];
  std::vector<std::int64_t> sizes(x.shape().begin(), x.shape().end());
  for (std::size_t i = 0; i + 2 < sizes.size(); ++i) p.count *= sizes[i];
  sizes[sizes.size() - 2] = p.oh;
  sizes[sizes.size() - 1] = p.ow;
  p.result = Shape(std::move(sizes));
  return p;
}

/// As PyTorch counts windows: with ceil_mode they may reach over the end, also where the first one does.
Pair output_size(const char* op, const Tensor& x, const PoolOptions& o, Pair stride) {
  if (x.dim() < 2) throw ShapeError(cat("[", op, "] needs [n, c, h, w] or [c, h, w]; got ", x.shape()));
  Pair out{};
  for (std::size_t i = 0; i < 2; ++i) {
    const std::int64_t size = x.size(static_cast<std::int64_t>(i) - 2);
    check_setting(op, "kernel", o.kernel[i], 1);
    check_setting(op, "stride", stride[i], 1);
    check_setting(op, "dilation", o.dilation[i], 1);
    if (o.padding[i] < 0 || o.padding[i] > o.kernel[i] / 2)
      throw ValueError(cat("[", op, "] padding must be in 0..kernel / 2 = ", o.kernel[i] / 2, "; got ", o.padding[i]));
    if (size == 0) throw ShapeError(cat("[", op, "] needs planes with elements; got ", x.shape()));
    const std::int64_t room = size + 2 * o.padding[i] - o.dilation[i] * (o.kernel[i] - 1) - 1;
    out[i] = floor_div(o.ceil_mode ? room + stride[i] - 1 : room, stride[i]) + 1;
    if (o.ceil_mode && (out[i] - 1) * stride[i] >= size + o.padding[i]) --out[i];
    if (out[i] < 1)
      throw ShapeError(cat("[", op, "] kernel ", o.kernel[i], " with dilation ", o.dilation[i], " and padding ",
                           o.padding[i], " does not fit into ", x.shape()));
  }
  return out;
}

/// Runs `f(plane)` over all planes, several in a task.
template <class F>
void each_plane(const Planes& p, F f) {
  if (p.result.numel() == 0) return;  // one axis may be huge where the other is empty
  parallel_for(p.count, 1 + (1 << 15) / (p.h * p.w + 1), [&](Rows rows) {
    for (std::int64_t i = rows.begin; i < rows.end; ++i) f(i);
  });
}

/// Smallest number of T: what a window without an element gives, as in PyTorch.
template <class T>
constexpr T lowest() {
  if constexpr (std::numeric_limits<T>::has_infinity)
    return -std::numeric_limits<T>::infinity();
  else
    return std::numeric_limits<T>::lowest();
}

/// Position of the largest element of a window in its plane, or -1 where the window holds none.
template <class T>
std::int64_t best_of(const Planes& p, const PoolOptions& o, const T* image, std::int64_t top, std::int64_t left) {
  // A window may be larger than anything: only its taps inside the plane are visited.
  const Taps rows(top, o.kernel[0], o.dilation[0], p.h), columns(left, o.kernel[1], o.dilation[1], p.w);
  std::int64_t best = -1;
  for (std::int64_t a = rows.first; a < rows.last; ++a)
    for (std::int64_t b = columns.first; b < columns.last; ++b) {
      const std::int64_t at = (top + a * o.dilation[0]) * p.w + left + b * o.dilation[1];
      if (best < 0 || image[at] > image[best] || image[at] != image[at]) best = at;
    }
  return best;
}

/// Maxima of one plane whose windows never reach over its edge, tap by tap, so that the inner loop is plain.
template <class T>
void plain_maxima(const Planes& p, const PoolOptions& o, Pair stride, const T* image, T* out) {
  for (std::int64_t i = 0; i < p.oh; ++i) {
    T* row = out + i * p.ow;
    for (std::int64_t a = 0; a < o.kernel[0]; ++a)
      for (std::int64_t b = 0; b < o.kernel[1]; ++b) {
        const T* from = image + (i * stride[0] + a * o.dilation[0]) * p.w + b * o.dilation[1];
        if (a == 0 && b == 0) {
          for (std::int64_t j = 0; j < p.ow; ++j) row[j] = from[j * stride[1]];
        } else {
          for (std::int64_t j = 0; j < p.ow; ++j) {
            const T v = from[j * stride[1]];
            row[j] = ((v > row[j]) | (v != v)) ? v : row[j];
          }
        }
      }
  }
}

constexpr AttributeRow kWindows[] = {{"kernel_size", AttributeKind::integers},
                                     {"stride", AttributeKind::integers, Absent{}},
                                     {"padding", AttributeKind::integers, std::int64_t{0}},
                                     {"dilation", AttributeKind::integers, std::int64_t{1}},
                                     {"ceil_mode", AttributeKind::boolean, false}};
constexpr AttributeRow kMeans[] = {{"kernel_size", AttributeKind::integers},
                                   {"stride", AttributeKind::integers, Absent{}},
                                   {"padding", AttributeKind::integers, std::int64_t{0}},
                                   {"ceil_mode", AttributeKind::boolean, false},
                                   {"count_include_pad", AttributeKind::boolean, true},
                                   {"divisor_override", AttributeKind::integer, Absent{}}};
constexpr AttributeRow kOutput[] = {{"output_size", AttributeKind::integers}};

std::vector<std::int64_t> list(const Pair& pair) { return {pair[0], pair[1]}; }

/// One number stands for both axes.
Pair pair_of(const char* op, rows::With a, const char* name) {
  const std::vector<std::int64_t> sizes = a.integers(name);
  if (sizes.size() != 1 && sizes.size() != 2)
    throw ValueError(cat("[", op, "] the attribute '", name, "' must be one number or two; got ", sizes.size()));
  return {sizes.front(), sizes.back()};
}

PoolOptions options_from(const char* op, rows::With a) {
  PoolOptions o{.kernel = pair_of(op, a, "kernel_size"), .padding = pair_of(op, a, "padding")};
  if (a.has("stride")) o.stride = pair_of(op, a, "stride");
  o.ceil_mode = a.boolean("ceil_mode");
  return o;
}

/// Writes what both poolings share.
void write_options(const PoolOptions& o, Arguments& a) {
  a.set("kernel_size", list(o.kernel));
  if (o.stride) a.set("stride", list(*o.stride));
  a.set("padding", list(o.padding));
  a.set("ceil_mode", o.ceil_mode);
}

TensorList max_from(rows::In in, rows::With a) {
  PoolOptions o = options_from("max_pool2d", a);
  o.dilation = pair_of("max_pool2d", a, "dilation");
  return {max_pool2d(in[0], o)};
}
TensorList avg_from(rows::In in, rows::With a) {
  PoolOptions o = options_from("avg_pool2d", a);
  o.count_include_pad = a.boolean("count_include_pad");
  o.divisor_override = rows::maybe_integer(a, "divisor_override");
  return {avg_pool2d(in[0], o)};
}
TensorList adaptive_from(rows::In in, rows::With a) {
  return {adaptive_avg_pool2d(in[0], pair_of("adaptive_avg_pool2d", a, "output_size"))};
}

// name, PyTorch, ONNX, inputs, attributes, flags, call
constexpr OpFlags kFlags = OpFlags::differentiable | OpFlags::zero_to_zero;
constexpr OpRow kMaxRow = rows::row("max_pool2d", "torch.nn.functional.max_pool2d", "MaxPool", "input", kWindows,
                                    OpFlags::differentiable, max_from);
constexpr OpRow kAvgRow =
    rows::row("avg_pool2d", "torch.nn.functional.avg_pool2d", "AveragePool", "input", kMeans, kFlags, avg_from);
constexpr OpRow kAdaptiveRow = rows::row("adaptive_avg_pool2d", "torch.nn.functional.adaptive_avg_pool2d", "", "input",
                                         kOutput, kFlags, adaptive_from);

/// Gradient of means over windows.
template <class T, class F>
void spread_means(const Planes& p, F window, const T* dy, T* dx) {
  each_plane(p, [&](std::int64_t plane) {
    for (std::int64_t i = 0; i < p.oh; ++i)
      for (std::int64_t j = 0; j < p.ow; ++j) {
        const Window v = window(i, j);
        const T share = static_cast<T>(static_cast<double>(dy[(plane * p.oh + i) * p.ow + j]) / v.divisor);
        for (std::int64_t h = v.h0; h < v.h1; ++h)
          for (std::int64_t w = v.w0; w < v.w1; ++w) dx[(plane * p.h + h) * p.w + w] += share;
      }
  });
}

/// Means over windows given by `window(oh, ow)`, and their gradient.
template <class O, class F>
Tensor mean_pool(const O& op, const OpRow& row, const Tensor& x, const Planes& p, F window) {
  if (!is_floating(x.dtype())) throw DtypeError(cat("[", row.name, "] needs a floating type; got ", x.dtype()));
  const Dtype inner = detail::compute_dtype(x.dtype());
  const Tensor from = x.detach().to(inner);
  Tensor y = Tensor::empty(p.result, inner);
  detail::dispatch_float(inner, [&]<class T>() {
    const T* px = from.data<T>().data();
    T* py = y.mutable_data<T>().data();
    each_plane(p, [&](std::int64_t plane) {
      for (std::int64_t i = 0; i < p.oh; ++i)
        for (std::int64_t j = 0; j < p.ow; ++j) {
          const Window v = window(i, j);
          double total = 0;
          for (std::int64_t h = v.h0; h < v.h1; ++h)
            for (std::int64_t w = v.w0; w < v.w1; ++w) total += static_cast<double>(px[(plane * p.h + h) * p.w + w]);
          py[(plane * p.oh + i) * p.ow + j] = static_cast<T>(total / v.divisor);
        }
    });
  });
  return op.with_grad(y.to(x.dtype()), {x}, [&] {
    return [p, window, shape = x.shape(), inner](const Tensor& gradient) {
      const Tensor dy = gradient.to(inner);
      Tensor dx = zeros(shape, inner);
      detail::dispatch_float(
          inner, [&]<class T>() { spread_means(p, window, dy.data<T>().data(), dx.mutable_data<T>().data()); });
      return GradList{dx.to(gradient.dtype())};
    };
  });
}

/// Gradient of maxima: each to the element at `winner`, -1 standing for none.
auto to_winners(const Tensor& winner, const Shape& shape, Dtype inner) {
  return [winner, shape, inner](const Tensor& gradient) {
    const Tensor dy = gradient.to(inner);
    Tensor dx = zeros(shape, inner);
    detail::dispatch_float(inner, [&]<class T>() {
      const auto g = dy.data<T>();
      const auto at = winner.data<std::int64_t>();
      const auto to = dx.mutable_data<T>();
      for (std::size_t i = 0; i < g.size(); ++i)
        if (at[i] >= 0) to[static_cast<std::size_t>(at[i])] += g[i];
    });
    return GradList{dx.to(gradient.dtype())};
  };
}

/// Maxima of one plane, and where they were found.
template <class T>
void edge_maxima(const Planes& p, const PoolOptions& o, Pair stride, const T* image, std::int64_t plane, T* y,
                 std::int64_t* won) {
  for (std::int64_t i = 0; i < p.oh; ++i)
    for (std::int64_t j = 0; j < p.ow; ++j) {
      const std::int64_t best = best_of(p, o, image, i * stride[0] - o.padding[0], j * stride[1] - o.padding[1]);
      const std::int64_t to = (plane * p.oh + i) * p.ow + j;
      y[to] = best < 0 ? lowest<T>() : image[best];
      if (won != nullptr) won[to] = best < 0 ? -1 : plane * p.h * p.w + best;
    }
}

}  // namespace

rows::Rows rows::pool() {
  static constexpr const OpRow* kRows[] = {&kMaxRow, &kAvgRow, &kAdaptiveRow};
  return kRows;
}

Tensor max_pool2d(const Tensor& x, const PoolOptions& o) {
  const Op op(kMaxRow, [&o](Arguments& a) {
    write_options(o, a);
    a.set("dilation", list(o.dilation));
  });
  if (x.is_quantized())  // the largest integer stands for the largest value
    return op.result(quant::quantized_over(max_pool2d(quant::integers("max_pool2d", x), o), x.dtype(), x.qparams()),
                     {x});
  const Pair stride = o.stride.value_or(o.kernel);
  const Planes p = planes_of("max_pool2d", x, output_size("max_pool2d", x, o, stride));
  const Dtype inner = detail::compute_dtype(x.dtype());
  const Tensor from = x.detach().to(inner);
  Tensor y = Tensor::empty(p.result, inner);
  const bool keep = needs_grad({x});
  const bool inside = !o.ceil_mode && o.padding == Pair{0, 0};
  Tensor winner = keep ? Tensor::empty(p.result, Dtype::i64) : Tensor();
  detail::dispatch_compute(inner, [&]<class T>() {
    const T* px = from.data<T>().data();
    T* py = y.mutable_data<T>().data();
    std::int64_t* won = keep ? winner.mutable_data<std::int64_t>().data() : nullptr;
    each_plane(p, [&](std::int64_t plane) {
      const T* image = px + plane * p.h * p.w;
      if (!keep && inside) return plain_maxima(p, o, stride, image, py + plane * p.oh * p.ow);
      edge_maxima(p, o, stride, image, plane, py, won);
    });
  });
  return op.with_grad(y.to(x.dtype()), {x}, [&] { return to_winners(winner, x.shape(), inner); });
}

Tensor avg_pool2d(const Tensor& x, const PoolOptions& o) {
  const Op op(kAvgRow, [&o](Arguments& a) {
    write_options(o, a);
    a.set("count_include_pad", o.count_include_pad);
    if (o.divisor_override) a.set("divisor_override", *o.divisor_override);
  });
  if (o.divisor_override && *o.divisor_override == 0) throw ValueError("[avg_pool2d] divisor_override must not be 0");
  const Pair stride = o.stride.value_or(o.kernel);
  const Planes p = planes_of("avg_pool2d", x, output_size("avg_pool2d", x, o, stride));
  return mean_pool(op, kAvgRow, x, p, [o, stride, h = p.h, w = p.w](std::int64_t i, std::int64_t j) {
    const std::int64_t h0 = i * stride[0] - o.padding[0];
    const std::int64_t w0 = j * stride[1] - o.padding[1];
    const std::int64_t h1 = std::min(h0 + o.kernel[0], h + o.padding[0]);
    const std::int64_t w1 = std::min(w0 + o.kernel[1], w + o.padding[1]);
    Window v{std::max<std::int64_t>(h0, 0), std::min(h1, h), std::max<std::int64_t>(w0, 0), std::min(w1, w), 1};
    v.divisor = static_cast<double>(o.divisor_override    ? *o.divisor_override
                                    : o.count_include_pad ? (h1 - h0) * (w1 - w0)
                                                          : (v.h1 - v.h0) * (v.w1 - v.w0));
    return v;
  });
}

Tensor adaptive_avg_pool2d(const Tensor& x, Pair output) {
  const Op op(kAdaptiveRow, [&output](Arguments& a) { a.set("output_size", list(output)); });
  for (const std::int64_t size : output) check_setting("adaptive_avg_pool2d", "output size", size, 0);
  const Planes p = planes_of("adaptive_avg_pool2d", x, output);
  if (p.h == 0 || p.w == 0) throw ShapeError(cat("[adaptive_avg_pool2d] empty planes in ", x.shape()));
  return mean_pool(op, kAdaptiveRow, x, p, [p](std::int64_t i, std::int64_t j) {
    // floor(i h / n) and ceil((i + 1) h / n) without the product i h, which may overflow.
    const auto first = [](std::int64_t at, std::int64_t n, std::int64_t size) {
      return at * (size / n) + at * (size % n) / n;
    };
    const auto last = [](std::int64_t at, std::int64_t n, std::int64_t size) {
      return (at + 1) * (size / n) + ((at + 1) * (size % n) + n - 1) / n;
    };
    Window v{first(i, p.oh, p.h), last(i, p.oh, p.h), first(j, p.ow, p.w), last(j, p.ow, p.w), 1};
    v.divisor = static_cast<double>((v.h1 - v.h0) * (v.w1 - v.w0));
    return v;
  });
}

}  // namespace coppice
