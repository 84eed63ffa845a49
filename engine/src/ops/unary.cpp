// Functions of one tensor.
#include <cmath>
#include <numbers>

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/random.h"
#include "functions.h"
#include "ops/map.h"

namespace coppice {
namespace {

/// f(x) in a floating type: integers become float32, halves compute in float.
template <class F>
Tensor floating(const Tensor& x, F f) {
  const Dtype dtype = is_floating(x.dtype()) ? x.dtype() : Dtype::f32;
  const Dtype inner = detail::compute_dtype(dtype);
  NoGrad guard;
  Tensor y = Tensor::empty(x.shape(), inner);
  const Tensor from = x.to(inner);
  detail::dispatch_float(inner, [&]<class T>() { detail::map_into<T, T>(from, y, f); });
  return y.to(dtype);
}

/// f(x) in the type of x, integers included.
template <class F>
Tensor same_type(const Tensor& x, F f) {
  const Dtype inner = detail::compute_dtype(x.dtype());
  NoGrad guard;
  Tensor y = Tensor::empty(x.shape(), inner);
  const Tensor from = x.to(inner);
  detail::dispatch_compute(
      inner, [&]<class T>() { detail::map_into<T, T>(from, y, [f](T v) { return static_cast<T>(f(v)); }); });
  return y.to(x.dtype());
}

/// float32 through the vectorised kernel of this processor, the other types through `f`.
template <class F>
Tensor vectorised(const Tensor& x, void (*kernel)(const float*, float*, std::int64_t), F f) {
  if (x.dtype() != Dtype::f32) return floating(x, f);
  Tensor y = Tensor::empty(x.shape());
  const float* from = x.data<float>().data();
  float* to = y.mutable_data<float>().data();
  parallel_for(x.numel(), detail::kElementGrain / 4, [=](Rows r) { kernel(from + r.begin, to + r.begin, r.size()); });
  return y;
}

/// Gradient dy * f'(saved), saved being the input or the result.
template <class F>
Tensor with_slope(const Tensor& y, const Tensor& x, const Tensor& keep, F slope) {
  if (!needs_grad({x})) return y;
  return with_grad(y, {x}, [kept = Saved(keep), slope](const Tensor& dy) {
    const Dtype inner = detail::compute_dtype(dy.dtype());
    Tensor dx = Tensor::empty(dy.shape(), inner);
    detail::dispatch_float(inner, [&]<class T>() {
      detail::map2_into<T, T>(dy.to(inner), kept().to(inner), dx, [slope](T g, T v) { return slope(g, v); });
    });
    return GradList{dx.to(dy.dtype())};
  });
}

template <class T>
T gelu_value(T x, bool tanh_form) {
  if (!tanh_form) return x * T(0.5) * (T(1) + std::erf(x * T(std::numbers::sqrt2 / 2)));
  const T inner = T(std::sqrt(2 / std::numbers::pi)) * (x + T(0.044715) * x * x * x);
  return T(0.5) * x * (T(1) + std::tanh(inner));
}

template <class T>
T gelu_slope(T x, bool tanh_form) {
  if (!tanh_form) {
    const T density = std::exp(-x * x / 2) * T(0.5 * std::numbers::inv_sqrtpi * std::numbers::sqrt2);
    return T(0.5) * (T(1) + std::erf(x * T(std::numbers::sqrt2 / 2))) + x * density;
  }
  const T scale = T(std::sqrt(2 / std::numbers::pi));
  const T t = std::tanh(scale * (x + T(0.044715) * x * x * x));
  return T(0.5) * (T(1) + t) + T(0.5) * x * (T(1) - t * t) * scale * (T(1) + T(3 * 0.044715) * x * x);
}

}  // namespace

Tensor add(const Tensor& a, double b) {
  if (!is_floating(a.dtype()) && b != std::trunc(b)) return add(a.to(Dtype::f32), b);
  return with_grad(same_type(a, [b]<class T>(T v) { return detail::shifted(v, b); }), {a},
                   [](const Tensor& dy) { return GradList{dy}; });
}

Tensor mul(const Tensor& a, double b) {
  if (!is_floating(a.dtype()) && b != std::trunc(b)) return mul(a.to(Dtype::f32), b);
  return with_grad(same_type(a,
                             [b]<class T>(T v) {
                               if constexpr (std::is_floating_point_v<T>)
                                 return v * static_cast<T>(b);
                               else
                                 return detail::scaled(v, b);
                             }),
                   {a}, [b](const Tensor& dy) { return GradList{mul(dy, b)}; });
}

Tensor neg(const Tensor& x) {
  if (x.dtype() == Dtype::boolean) throw DtypeError("[neg] a bool tensor has no negative; use logical_not");
  return with_grad(same_type(x, []<class T>(T v) { return detail::negative(v); }), {x},
                   [](const Tensor& dy) { return GradList{neg(dy)}; });
}

Tensor abs(const Tensor& x) {
  Tensor y = same_type(x, []<class T>(T v) {
    if constexpr (std::is_unsigned_v<T>)
      return v;
    else
      return v < 0 ? detail::negative(v) : (v == 0 ? T{} : v);
  });
  return with_slope(y, x, x, []<class T>(T g, T v) { return v > 0 ? g : v < 0 ? -g : v == 0 ? T(0) : g * v; });
}

Tensor exp(const Tensor& x) {
  Tensor y = vectorised(x, kernels::vexp, [](auto v) { return std::exp(v); });
  return with_slope(y, x, y, [](auto g, auto v) { return g * v; });
}

Tensor log(const Tensor& x) {
  return with_slope(floating(x, [](auto v) { return std::log(v); }), x, x, [](auto g, auto v) { return g / v; });
}

Tensor sqrt(const Tensor& x) {
  Tensor y = floating(x, [](auto v) { return std::sqrt(v); });
  return with_slope(y, x, y, [](auto g, auto v) { return g / (2 * v); });
}

Tensor tanh(const Tensor& x) {
  Tensor y = vectorised(x, kernels::vtanh, [](auto v) { return std::tanh(v); });
  return with_slope(y, x, y, [](auto g, auto v) { return g * (1 - v * v); });
}

Tensor sigmoid(const Tensor& x) {
  Tensor y = vectorised(x, kernels::vsigmoid, []<class T>(T v) { return T(1) / (T(1) + std::exp(-v)); });
  return with_slope(y, x, y, [](auto g, auto v) { return g * v * (1 - v); });
}

Tensor relu(const Tensor& x) {
  Tensor y = same_type(x, []<class T>(T v) { return v < T{} ? T{} : v; });
  return with_slope(y, x, y, []<class T>(T g, T v) { return v > 0 ? g : T(0); });
}

Tensor gelu(const Tensor& x, bool tanh_form) {
  Tensor y = floating(x, [tanh_form](auto v) { return gelu_value(v, tanh_form); });
  return with_slope(y, x, x, [tanh_form](auto g, auto v) { return g * gelu_slope(v, tanh_form); });
}

Tensor clamp(const Tensor& x, double low, double high) {
  if (std::isnan(low) || std::isnan(high)) throw ValueError("[clamp] a limit is NaN");
  Tensor y = same_type(x, [low, high]<class T>(T v) {
    if constexpr (std::is_same_v<T, bool>)
      return v;
    else {
      const double w = static_cast<double>(v);
      return w > high ? convert<T>(high) : w < low ? convert<T>(std::min(low, high)) : v;
    }
  });
  return with_slope(y, x, x, [low, high]<class T>(T g, T v) { return v >= T(low) && v <= T(high) ? g : T(0); });
}

Tensor dropout(const Tensor& x, double p, Generator* generator) {
  if (!(p >= 0 && p <= 1)) throw ValueError(cat("[dropout] p must be in 0..1; got ", p));
  if (!is_floating(x.dtype())) throw DtypeError(cat("[dropout] needs a floating type; got ", x.dtype()));
  if (p == 0 || x.numel() == 0) return mul(x, 1.0);
  if (p == 1) return mul(x, 0.0);
  Generator& g = generator != nullptr ? *generator : default_generator();
  Tensor keep = Tensor::empty(x.shape());
  g.bernoulli(keep.mutable_data<float>(), 1 - p);
  return x * (keep * (1 / (1 - p))).to(x.dtype());
}

Tensor logical_not(const Tensor& a) {
  Tensor y = Tensor::empty(a.shape(), Dtype::boolean);
  detail::map_into<bool, bool>(a.to(Dtype::boolean), y, [](bool v) { return !v; });
  return y;
}

Tensor isnan(const Tensor& a) { return ne(a, a); }

}  // namespace coppice
