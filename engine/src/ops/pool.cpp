#include "coppice/engine/ops/pool.h"

#include <algorithm>
#include <cmath>

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "ops/map.h"

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

Planes planes_of(const char* op, const Tensor& x, Pair output) {
  if (x.dim() != 3 && x.dim() != 4) throw ShapeError(cat("[", op, "] needs [n, c, h, w] or [c, h, w]; got ", x.shape()));
  Planes p;
  p.h = x.size(-2), p.w = x.size(-1), p.oh = output[0], p.ow = output[1];
  std::vector<std::int64_t> sizes(x.shape().begin(), x.shape().end());
  for (std::size_t i = 0; i + 2 < sizes.size(); ++i) p.count *= sizes[i];
  sizes[sizes.size() - 2] = p.oh;
  sizes[sizes.size() - 1] = p.ow;
  p.result = Shape(std::move(sizes));
  return p;
}

Pair output_size(const char* op, const Tensor& x, const PoolOptions& o, Pair stride) {
  if (x.dim() < 2) throw ShapeError(cat("[", op, "] needs [n, c, h, w] or [c, h, w]; got ", x.shape()));
  Pair out{};
  for (std::size_t i = 0; i < 2; ++i) {
    const std::int64_t size = x.size(static_cast<std::int64_t>(i) - 2);
    if (o.kernel[i] < 1 || stride[i] < 1 || o.dilation[i] < 1)
      throw ValueError(cat("[", op, "] kernel, stride and dilation must be at least 1; got ", o.kernel[i], ", ",
                           stride[i], " and ", o.dilation[i]));
    if (o.padding[i] < 0 || o.padding[i] > o.kernel[i] / 2)
      throw ValueError(cat("[", op, "] padding must be in 0..kernel / 2 = ", o.kernel[i] / 2, "; got ", o.padding[i]));
    const std::int64_t room = size + 2 * o.padding[i] - o.dilation[i] * (o.kernel[i] - 1) - 1;
    if (room < 0) throw ShapeError(cat("[", op, "] kernel ", o.kernel[i], " does not fit into ", x.shape()));
    out[i] = (o.ceil_mode ? room + stride[i] - 1 : room) / stride[i] + 1;
    if (o.ceil_mode && (out[i] - 1) * stride[i] >= size + o.padding[i]) --out[i];
  }
  return out;
}

/// Runs `f(plane)` over all planes, several in a task.
template <class F>
void each_plane(const Planes& p, F f) {
  parallel_for(p.count, 1 + (1 << 15) / (p.h * p.w + 1), [&](Rows rows) {
    for (std::int64_t i = rows.begin; i < rows.end; ++i) f(i);
  });
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

/// Means over windows given by `window(oh, ow)`, and their gradient.
template <class F>
Tensor mean_pool(const char* op, const Tensor& x, const Planes& p, F window) {
  if (!is_floating(x.dtype())) throw DtypeError(cat("[", op, "] needs a floating type; got ", x.dtype()));
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
  return with_grad(y.to(x.dtype()), {x}, [p, window, shape = x.shape(), inner](const Tensor& gradient) {
    const Tensor dy = gradient.to(inner);
    Tensor dx = zeros(shape, inner);
    detail::dispatch_float(inner, [&]<class T>() {
      const T* pdy = dy.data<T>().data();
      T* pdx = dx.mutable_data<T>().data();
      each_plane(p, [&](std::int64_t plane) {
        for (std::int64_t i = 0; i < p.oh; ++i)
          for (std::int64_t j = 0; j < p.ow; ++j) {
            const Window v = window(i, j);
            const T share = static_cast<T>(static_cast<double>(pdy[(plane * p.oh + i) * p.ow + j]) / v.divisor);
            for (std::int64_t h = v.h0; h < v.h1; ++h)
              for (std::int64_t w = v.w0; w < v.w1; ++w) pdx[(plane * p.h + h) * p.w + w] += share;
          }
      });
    });
    return GradList{dx.to(gradient.dtype())};
  });
}

}  // namespace

Tensor max_pool2d(const Tensor& x, const PoolOptions& o) {
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
      for (std::int64_t i = 0; i < p.oh; ++i)
        for (std::int64_t j = 0; j < p.ow; ++j) {
          std::int64_t best = -1;
          for (std::int64_t a = 0; a < o.kernel[0]; ++a) {
            const std::int64_t h = i * stride[0] - o.padding[0] + a * o.dilation[0];
            if (h < 0 || h >= p.h) continue;
            for (std::int64_t b = 0; b < o.kernel[1]; ++b) {
              const std::int64_t w = j * stride[1] - o.padding[1] + b * o.dilation[1];
              if (w < 0 || w >= p.w) continue;
              const std::int64_t at = h * p.w + w;
              if (best < 0 || image[at] > image[best] || image[at] != image[at]) best = at;
            }
          }
          const std::int64_t to = (plane * p.oh + i) * p.ow + j;
          py[to] = image[best];  // padding <= kernel / 2 leaves at least one element in every window
          if (won != nullptr) won[to] = plane * p.h * p.w + best;
        }
    });
  });
  return with_grad(y.to(x.dtype()), {x}, [winner, shape = x.shape(), inner](const Tensor& gradient) {
    const Tensor dy = gradient.to(inner);
    Tensor dx = zeros(shape, inner);
    detail::dispatch_float(inner, [&]<class T>() {
      const auto g = dy.data<T>();
      const auto at = winner.data<std::int64_t>();
      const auto to = dx.mutable_data<T>();
      for (std::size_t i = 0; i < g.size(); ++i) to[static_cast<std::size_t>(at[i])] += g[i];
    });
    return GradList{dx.to(gradient.dtype())};
  });
}

Tensor avg_pool2d(const Tensor& x, const PoolOptions& o) {
  if (o.divisor_override && *o.divisor_override == 0) throw ValueError("[avg_pool2d] divisor_override must not be 0");
  const Pair stride = o.stride.value_or(o.kernel);
  const Planes p = planes_of("avg_pool2d", x, output_size("avg_pool2d", x, o, stride));
  return mean_pool("avg_pool2d", x, p, [o, stride, h = p.h, w = p.w](std::int64_t i, std::int64_t j) {
    const std::int64_t h0 = i * stride[0] - o.padding[0];
    const std::int64_t w0 = j * stride[1] - o.padding[1];
    const std::int64_t h1 = std::min(h0 + o.kernel[0], h + o.padding[0]);
    const std::int64_t w1 = std::min(w0 + o.kernel[1], w + o.padding[1]);
    Window v{std::max<std::int64_t>(h0, 0), std::min(h1, h), std::max<std::int64_t>(w0, 0), std::min(w1, w), 1};
    v.divisor = static_cast<double>(o.divisor_override ? *o.divisor_override
                                    : o.count_include_pad ? (h1 - h0) * (w1 - w0)
                                                          : (v.h1 - v.h0) * (v.w1 - v.w0));
    return v;
  });
}

Tensor adaptive_avg_pool2d(const Tensor& x, Pair output) {
  if (output[0] < 0 || output[1] < 0)
    throw ValueError(cat("[adaptive_avg_pool2d] output sizes must be at least 0; got ", output[0], " and ", output[1]));
  const Planes p = planes_of("adaptive_avg_pool2d", x, output);
  if (p.h == 0 || p.w == 0) throw ShapeError(cat("[adaptive_avg_pool2d] empty planes in ", x.shape()));
  return mean_pool("adaptive_avg_pool2d", x, p, [p](std::int64_t i, std::int64_t j) {
    Window v{i * p.h / p.oh, ((i + 1) * p.h + p.oh - 1) / p.oh, j * p.w / p.ow, ((j + 1) * p.w + p.ow - 1) / p.ow, 1};
    v.divisor = static_cast<double>((v.h1 - v.h0) * (v.w1 - v.w0));
    return v;
  });
}

}  // namespace coppice
