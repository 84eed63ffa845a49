// Arithmetic of two tensors.
#include <cmath>
#include <functional>

#include "coppice/engine/autograd.h"
#include "coppice/engine/ops/elementwise.h"
#include "ops/map.h"

namespace coppice {
namespace {

using detail::result_dtype;

/// f(a, b) with broadcasting and promotion to `dtype`; halves compute in float.
template <class F>
Tensor arithmetic(const char* op, const Tensor& a, const Tensor& b, Dtype dtype, F f) {
  const Shape shape = broadcast(op, a.shape(), b.shape());
  const Dtype inner = detail::compute_dtype(dtype);
  NoGrad guard;
  Tensor y = Tensor::empty(shape, inner);
  const Tensor x0 = a.to(inner);
  const Tensor x1 = b.to(inner);
  detail::dispatch_compute(inner, [&]<class T>() { detail::map2_into<T, T>(x0, x1, y, f); });
  return y.to(dtype);
}

/// `dy` brought back to the shape and type of an input.
Tensor back_to(const Tensor& dy, const Shape& shape, Dtype dtype) { return sum_to(dy, shape).to(dtype); }

/// The same for an input whose gradient may not be wanted.
struct Target {
  Shape shape;
  Dtype dtype;
  bool wanted;
  explicit Target(const Tensor& t) : shape(t.shape()), dtype(t.dtype()), wanted(t.requires_grad()) {}
  template <class F>
  [[nodiscard]] Tensor operator()(F gradient) const {
    return wanted ? back_to(gradient(), shape, dtype) : Tensor();
  }
};

Dtype dividing(Dtype dtype) { return is_floating(dtype) ? dtype : Dtype::f32; }

using detail::wrapping;

constexpr auto kMultiply = []<class T>(T x, T y) {
  if constexpr (std::is_same_v<T, bool>)
    return x && y;
  else
    return wrapping(std::multiplies<>(), x, y);
};

template <class T>
bool is_nan(T x) {
  if constexpr (std::is_floating_point_v<T>)
    return std::isnan(x);
  else
    return false;
}

/// Gradient of an extreme: all of it to the side that won, half to each side of a tie.
GradList extreme_gradient(const Tensor& dy, const Tensor& a, const Tensor& b, const Tensor& wins_a, const Target& ta,
                          const Target& tb) {
  const Tensor tie = eq(a, b).to(dy.dtype()) * 0.5;
  const Tensor share = wins_a.to(dy.dtype()) + tie;
  return {ta([&] { return dy * share; }), tb([&] { return dy * (1.0 * neg(share) + 1.0); })};
}

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) {
  Tensor y = arithmetic("add", a, b, result_dtype(a, b), []<class T>(T x, T z) {
    if constexpr (std::is_same_v<T, bool>)
      return x || z;
    else
      return wrapping(std::plus<>(), x, z);
  });
  return with_grad(y, {a, b}, [ta = Target(a), tb = Target(b)](const Tensor& dy) {
    return GradList{ta([&] { return dy; }), tb([&] { return dy; })};
  });
}

Tensor sub(const Tensor& a, const Tensor& b) {
  if (a.dtype() == Dtype::boolean && b.dtype() == Dtype::boolean)
    throw DtypeError("[sub] bool tensors cannot be subtracted; use ne or logical_not");
  Tensor y =
      arithmetic("sub", a, b, result_dtype(a, b), []<class T>(T x, T z) { return wrapping(std::minus<>(), x, z); });
  return with_grad(y, {a, b}, [ta = Target(a), tb = Target(b)](const Tensor& dy) {
    return GradList{ta([&] { return dy; }), tb([&] { return neg(dy); })};
  });
}

Tensor mul(const Tensor& a, const Tensor& b) {
  Tensor y = arithmetic("mul", a, b, result_dtype(a, b), kMultiply);
  if (!needs_grad({a, b})) return y;
  // Each side is needed only for the other's gradient: a mask times a weight keeps the mask alone.
  const Saved sa = b.requires_grad() ? Saved(a) : Saved();
  const Saved sb = a.requires_grad() ? Saved(b) : Saved();
  return with_grad(y, {a, b}, [sa, sb, ta = Target(a), tb = Target(b)](const Tensor& dy) {
    return GradList{ta([&] { return dy * sb(); }), tb([&] { return dy * sa(); })};
  });
}

Tensor div(const Tensor& a, const Tensor& b) {
  Tensor y = arithmetic("div", a, b, dividing(result_dtype(a, b)), []<class T>(T x, T z) {
    if constexpr (std::is_floating_point_v<T>)
      return x / z;
    else
      return T{};  // not reached: dividing() is floating
  });
  if (!needs_grad({a, b})) return y;
  return with_grad(y, {a, b}, [sa = Saved(a), sb = Saved(b), ta = Target(a), tb = Target(b)](const Tensor& dy) {
    return GradList{ta([&] { return div(dy, sb()); }),
                    tb([&] { return neg(div(dy * sa(), sb() * sb())); })};  // -dy a / b²
  });
}

Tensor maximum(const Tensor& a, const Tensor& b) {
  Tensor y =
      arithmetic("maximum", a, b, result_dtype(a, b), []<class T>(T x, T z) { return is_nan(x) || x > z ? x : z; });
  if (!needs_grad({a, b})) return y;
  return with_grad(y, {a, b}, [sa = Saved(a), sb = Saved(b), ta = Target(a), tb = Target(b)](const Tensor& dy) {
    return extreme_gradient(dy, sa(), sb(), gt(sa(), sb()), ta, tb);
  });
}

Tensor minimum(const Tensor& a, const Tensor& b) {
  Tensor y =
      arithmetic("minimum", a, b, result_dtype(a, b), []<class T>(T x, T z) { return is_nan(x) || x < z ? x : z; });
  if (!needs_grad({a, b})) return y;
  return with_grad(y, {a, b}, [sa = Saved(a), sb = Saved(b), ta = Target(a), tb = Target(b)](const Tensor& dy) {
    return extreme_gradient(dy, sa(), sb(), lt(sa(), sb()), ta, tb);
  });
}

Tensor pow(const Tensor& base, const Tensor& exponent) {
  const Dtype dtype = dividing(result_dtype(base, exponent));
  Tensor y = arithmetic("pow", base, exponent, dtype, []<class T>(T x, T z) {
    if constexpr (std::is_floating_point_v<T>)
      return std::pow(x, z);
    else
      return T{};  // not reached: dividing() is floating
  });
  if (!needs_grad({base, exponent})) return y;
  return with_grad(
      y, {base, exponent},
      [sa = Saved(base), se = Saved(exponent), ta = Target(base), te = Target(exponent)](const Tensor& dy) {
        return GradList{ta([&] {  // dy e a^(e-1), and 0 where e is 0
                          const Tensor d = dy * se() * pow(sa(), se() - 1.0);
                          return where(eq(se(), Tensor::of(0)), Tensor::of(0), d);
                        }),
                        te([&] {  // dy a^e ln a, and 0 where a is 0 and e is not negative
                          const Tensor d = dy * pow(sa(), se()) * log(sa());
                          const Tensor flat = logical_and(eq(sa(), Tensor::of(0)), ge(se(), Tensor::of(0)));
                          return where(flat, Tensor::of(0), d);
                        })};
      });
}

Tensor pow(const Tensor& base, double exponent) {
  if (exponent == 2) return base * base;
  const Dtype dtype = dividing(base.dtype());
  return pow(base.to(dtype), Tensor::of(exponent).to(dtype == Dtype::f64 ? Dtype::f64 : Dtype::f32));
}

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  const Dtype dtype = result_dtype(a, b);
  const Shape shape = broadcast("where", condition.shape(), broadcast("where", a.shape(), b.shape()));
  Tensor y = Tensor::empty(shape, dtype);
  Tensor truth;
  {
    NoGrad guard;
    truth = expand(condition.to(Dtype::boolean), shape);
    const Tensor x0 = expand(a.to(dtype), shape);
    const Tensor x1 = expand(b.to(dtype), shape);
    dispatch(dtype, [&]<class T>() {
      const auto c = truth.data<bool>();
      const auto p = x0.data<T>();
      const auto q = x1.data<T>();
      const auto to = y.mutable_data<T>();
      for (std::size_t i = 0; i < to.size(); ++i) to[i] = c[i] ? p[i] : q[i];
    });
  }
  return with_grad(y, {a, b}, [saved = Saved(truth), ta = Target(a), tb = Target(b)](const Tensor& dy) {
    const Tensor zero = Tensor::of(0).to(dy.dtype());
    return GradList{ta([&] { return where(saved(), dy, zero); }), tb([&] { return where(saved(), zero, dy); })};
  });
}

}  // namespace coppice
