#pragma once
// Loops over elements for the element-wise operations. Private to the engine.

#include <cmath>
#include <functional>
#include <type_traits>

#include "broadcast.h"
#include "coppice/engine/parallel.h"
#include "coppice/engine/tensor.h"

namespace coppice::detail {

/// Elements per task: about 20 µs of the cheapest loop.
inline constexpr std::int64_t kElementGrain = 1 << 16;

/// Type in which T computes.
template <class T>
using Compute = std::conditional_t<std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>, float, T>;

/// The f16 and bf16 detour: the operation itself only ever sees float, double, integers and bool.
[[nodiscard]] inline Dtype compute_dtype(Dtype dtype) {
  return dtype == Dtype::f16 || dtype == Dtype::bf16 ? Dtype::f32 : dtype;
}

/// Calls `f` with float or double; integers count as float. Quantised types are refused.
template <class F>
decltype(auto) dispatch_float(Dtype dtype, F&& f) {
  if (is_quantized(dtype)) refuse_quantized(dtype);
  if (dtype == Dtype::f64) return f.template operator()<double>();
  return f.template operator()<float>();
}

/// Calls `f` with every type but the half ones, which count as float. Quantised types are refused.
template <class F>
decltype(auto) dispatch_compute(Dtype dtype, F&& f) {
  switch (dtype) {
    case Dtype::f64: return f.template operator()<double>();
    case Dtype::i8: return f.template operator()<std::int8_t>();
    case Dtype::u8: return f.template operator()<std::uint8_t>();
    case Dtype::i16: return f.template operator()<std::int16_t>();
    case Dtype::i32: return f.template operator()<std::int32_t>();
    case Dtype::i64: return f.template operator()<std::int64_t>();
    case Dtype::boolean: return f.template operator()<bool>();
    case Dtype::f32:
    case Dtype::f16:
    case Dtype::bf16: return f.template operator()<float>();
    case Dtype::qint8:
    case Dtype::quint8:
    case Dtype::qint32:
    case Dtype::quint4x2: break;
  }
  refuse_quantized(dtype);
}

/// f(x, y); integers wrap around, as in PyTorch: files choose them, and signed overflow is undefined.
template <class F, class T>
[[nodiscard]] T wrapping(F f, T x, T y) {
  if constexpr (std::is_integral_v<T>) {
    using U = std::make_unsigned_t<std::common_type_t<T, int>>;
    return static_cast<T>(f(static_cast<U>(x), static_cast<U>(y)));
  } else {
    return f(x, y);
  }
}

/// -x; the smallest integer of a type is its own negative.
template <class T>
[[nodiscard]] T negative(T x) {
  if constexpr (std::is_integral_v<T>)
    return wrapping(std::minus<>(), T{}, x);
  else
    return -x;
}

/// Whether arithmetic of integers T with `number` stays among integers, which a double does not hold above 2^53.
template <class T>
[[nodiscard]] bool is_whole(double number) {
  return std::is_integral_v<T> && !std::is_same_v<T, bool> && number == std::trunc(number) && std::abs(number) < 0x1p53;
}

/// x * factor in the type of x; integers by whole numbers are exact and wrap around.
template <class T>
[[nodiscard]] T scaled(T x, double factor) {
  if constexpr (std::is_integral_v<T>)
    if (is_whole<T>(factor)) return wrapping(std::multiplies<>(), x, convert<T>(static_cast<std::int64_t>(factor)));
  return convert<T>(convert<double>(x) * factor);
}

/// x + offset, likewise.
template <class T>
[[nodiscard]] T shifted(T x, double offset) {
  if constexpr (std::is_integral_v<T>)
    if (is_whole<T>(offset)) return wrapping(std::plus<>(), x, convert<T>(static_cast<std::int64_t>(offset)));
  return convert<T>(convert<double>(x) + offset);
}

/// y[i] = f(x[i]).
template <class X, class Y, class F>
void map_into(const Tensor& x, Tensor& y, F f) {
  const X* from = x.data<X>().data();
  Y* to = y.mutable_data<Y>().data();
  parallel_for(x.numel(), kElementGrain, [=](Rows r) {
    for (std::int64_t i = r.begin; i < r.end; ++i) to[i] = f(from[i]);
  });
}

/// y[i] = f(a[i], b[i]); one side may have a single element, other differences are expanded first.
template <class X, class Y, class F>
void map2_into(Tensor a, Tensor b, Tensor& y, F f) {
  if (a.shape() != y.shape() && a.numel() != 1) a = expand(a, y.shape());
  if (b.shape() != y.shape() && b.numel() != 1) b = expand(b, y.shape());
  const X* p = a.data<X>().data();
  const X* q = b.data<X>().data();
  Y* to = y.mutable_data<Y>().data();
  const bool one_a = a.numel() == 1;
  const bool one_b = b.numel() == 1;
  parallel_for(y.numel(), kElementGrain, [=](Rows r) {
    if (one_b) {
      const X v = q[0];
      if (one_a) {
        const X u = p[0];
        for (std::int64_t i = r.begin; i < r.end; ++i) to[i] = f(u, v);
      } else {
        for (std::int64_t i = r.begin; i < r.end; ++i) to[i] = f(p[i], v);
      }
    } else if (one_a) {
      const X u = p[0];
      for (std::int64_t i = r.begin; i < r.end; ++i) to[i] = f(u, q[i]);
    } else {
      for (std::int64_t i = r.begin; i < r.end; ++i) to[i] = f(p[i], q[i]);
    }
  });
}

/// Element type of a result of `a` and `b`: a 0-d side does not widen the other one within its kind.
[[nodiscard]] inline Dtype result_dtype(const Tensor& a, const Tensor& b) {
  if (a.dim() == 0 && b.dim() > 0 && (is_floating(b.dtype()) || !is_floating(a.dtype())) &&
      !(b.dtype() == Dtype::boolean))
    return b.dtype();
  if (b.dim() == 0 && a.dim() > 0 && (is_floating(a.dtype()) || !is_floating(b.dtype())) &&
      !(a.dtype() == Dtype::boolean))
    return a.dtype();
  return promote(a.dtype(), b.dtype());
}

}  // namespace coppice::detail
