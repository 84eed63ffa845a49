// Arithmetic of two tensors.
#include <cmath>
#include <functional>

#include "coppice/engine/autograd.h"
#include "coppice/engine/ops/elementwise.h"
#include "ops/map.h"
#include "ops/op_rows.h"

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

/// Gradient of an extreme, `beats` telling where `a` wins: all of it to the side that won, half to each side of a tie.
auto extreme_gradient(const Tensor& a, const Tensor& b, Tensor (*beats)(const Tensor&, const Tensor&)) {
  return [beats, sa = Saved(a), sb = Saved(b), ta = Target(a), tb = Target(b)](const Tensor& dy) {
    const Tensor tie = eq(sa(), sb()).to(dy.dtype()) * 0.5;
    const Tensor share = beats(sa(), sb()).to(dy.dtype()) + tie;
    return GradList{ta([&] { return dy * share; }), tb([&] { return dy * (1.0 * neg(share) + 1.0); })};
  };
}

/// dy e a^(e-1), and 0 where e is 0.
Tensor slope_of_base(const Tensor& dy, const Tensor& a, const Tensor& e) {
  const Tensor d = dy * e * pow(a, e - 1.0);
  return where(eq(e, Tensor::of(0)), Tensor::of(0), d);
}

/// dy a^e ln a, and 0 where a is 0 and e is not negative.
Tensor slope_of_exponent(const Tensor& dy, const Tensor& a, const Tensor& e) {
  const Tensor d = dy * pow(a, e) * log(a);
  const Tensor flat = logical_and(eq(a, Tensor::of(0)), ge(e, Tensor::of(0)));
  return where(flat, Tensor::of(0), d);
}

/// Arithmetic from data: the second operand is a tensor, or the number that the attribute `name` holds.
TensorList either(std::string_view op, rows::In in, rows::With a, const char* name,
                  Tensor (*with_tensor)(const Tensor&, const Tensor&), Tensor (*with_number)(const Tensor&, double)) {
  if (a.has(name) == (in.size() > 1))
    throw ValueError(cat("[", op, "] needs a second input or the attribute '", name, "', and not both"));
  return {in.size() > 1 ? with_tensor(in[0], in[1]) : with_number(in[0], a.number(name))};
}

constexpr OpFlags kSmooth = OpFlags::differentiable | OpFlags::elementwise;
constexpr OpFlags kNumber = kSmooth | OpFlags::takes_number;
constexpr AttributeRow kOther[] = {{"other", AttributeKind::number, Absent{}}};
constexpr AttributeRow kExponent[] = {{"exponent", AttributeKind::number, Absent{}}};

// name, PyTorch, ONNX, inputs, attributes, flags, call
constexpr OpRow kSubRow = rows::row("sub", "torch.sub|operator.sub", "Sub", "input other", kOther, kNumber,
                                    [](rows::In in, rows::With a) { return either("sub", in, a, "other", sub, sub); });
constexpr OpRow kDivRow = rows::row("div", "torch.div|operator.truediv", "Div", "input other", kOther, kNumber,
                                    [](rows::In in, rows::With a) { return either("div", in, a, "other", div, div); });
constexpr OpRow kMaximumRow = rows::row("maximum", "torch.maximum", "Max", "input other", {},
                                        kSmooth | OpFlags::zero_to_zero, rows::kTwo<maximum>);
constexpr OpRow kMinimumRow = rows::row("minimum", "torch.minimum", "Min", "input other", {},
                                        kSmooth | OpFlags::zero_to_zero, rows::kTwo<minimum>);
constexpr OpRow kPowRow =
    rows::row("pow", "torch.pow|operator.pow", "Pow", "base exponent", kExponent, kNumber,
              [](rows::In in, rows::With a) { return either("pow", in, a, "exponent", pow, pow); });
constexpr OpRow kWhereRow =
    rows::row("where", "torch.where", "Where", "condition input other", {}, kSmooth | OpFlags::zero_to_zero,
              [](rows::In in, rows::With) { return TensorList{where(in[0], in[1], in[2])}; });

}  // namespace

constexpr OpRow rows::kAdd =
    rows::row("add", "torch.add|operator.add", "Add", "input other", kOther, kNumber,
              [](rows::In in, rows::With a) { return either("add", in, a, "other", add, add); });
constexpr OpRow rows::kMul =
    rows::row("mul", "torch.mul|operator.mul", "Mul", "input other", kOther, kNumber,
              [](rows::In in, rows::With a) { return either("mul", in, a, "other", mul, mul); });

rows::Rows rows::binary() {
  static constexpr const OpRow* kRows[] = {&kAdd,        &kSubRow,     &kMul,    &kDivRow,
                                           &kMaximumRow, &kMinimumRow, &kPowRow, &kWhereRow};
  return kRows;
}

Tensor add(const Tensor& a, const Tensor& b) {
  const Op op(rows::kAdd);
  Tensor y = arithmetic("add", a, b, result_dtype(a, b), []<class T>(T x, T z) {
    if constexpr (std::is_same_v<T, bool>)
      return x || z;
    else
      return wrapping(std::plus<>(), x, z);
  });
  return op.with_grad(std::move(y), {a, b}, [&] {
    return [ta = Target(a), tb = Target(b)](const Tensor& dy) {
      return GradList{ta([&] { return dy; }), tb([&] { return dy; })};
    };
  });
}

Tensor sub(const Tensor& a, const Tensor& b) {
  const Op op(kSubRow);
  if (a.dtype() == Dtype::boolean && b.dtype() == Dtype::boolean)
    throw DtypeError("[sub] bool tensors cannot be subtracted; use ne or logical_not");
  Tensor y =
      arithmetic("sub", a, b, result_dtype(a, b), []<class T>(T x, T z) { return wrapping(std::minus<>(), x, z); });
  return op.with_grad(std::move(y), {a, b}, [&] {
    return [ta = Target(a), tb = Target(b)](const Tensor& dy) {
      return GradList{ta([&] { return dy; }), tb([&] { return neg(dy); })};
    };
  });
}

Tensor mul(const Tensor& a, const Tensor& b) {
  const Op op(rows::kMul);
  Tensor y = arithmetic("mul", a, b, result_dtype(a, b), kMultiply);
  return op.with_grad(std::move(y), {a, b}, [&] {
    // Each side is needed only for the other's gradient: a mask times a weight keeps the mask alone.
    const Saved sa = b.requires_grad() ? Saved(a) : Saved();
    const Saved sb = a.requires_grad() ? Saved(b) : Saved();
    return [sa, sb, ta = Target(a), tb = Target(b)](const Tensor& dy) {
      return GradList{ta([&] { return dy * sb(); }), tb([&] { return dy * sa(); })};
    };
  });
}

Tensor div(const Tensor& a, const Tensor& b) {
  const Op op(kDivRow);
  Tensor y = arithmetic("div", a, b, dividing(result_dtype(a, b)), []<class T>(T x, T z) {
    if constexpr (std::is_floating_point_v<T>)
      return x / z;
    else
      return T{};  // not reached: dividing() is floating
  });
  return op.with_grad(std::move(y), {a, b}, [&] {
    return [sa = Saved(a), sb = Saved(b), ta = Target(a), tb = Target(b)](const Tensor& dy) {
      return GradList{ta([&] { return div(dy, sb()); }),
                      tb([&] { return neg(div(dy * sa(), sb() * sb())); })};  // -dy a / b²
    };
  });
}

Tensor sub(const Tensor& a, double b) {
  const Op op(kSubRow, [b](Arguments& with) { with.set("other", b); });
  return op.result(add(a, -b), {a});
}

Tensor div(const Tensor& a, double b) {
  const Op op(kDivRow, [b](Arguments& with) { with.set("other", b); });
  return op.result(mul(a, 1 / b), {a});
}

Tensor maximum(const Tensor& a, const Tensor& b) {
  const Op op(kMaximumRow);
  Tensor y =
      arithmetic("maximum", a, b, result_dtype(a, b), []<class T>(T x, T z) { return is_nan(x) || x > z ? x : z; });
  return op.with_grad(std::move(y), {a, b}, [&] { return extreme_gradient(a, b, gt); });
}

Tensor minimum(const Tensor& a, const Tensor& b) {
  const Op op(kMinimumRow);
  Tensor y =
      arithmetic("minimum", a, b, result_dtype(a, b), []<class T>(T x, T z) { return is_nan(x) || x < z ? x : z; });
  return op.with_grad(std::move(y), {a, b}, [&] { return extreme_gradient(a, b, lt); });
}

Tensor pow(const Tensor& base, const Tensor& exponent) {
  const Op op(kPowRow);
  const Dtype dtype = dividing(result_dtype(base, exponent));
  Tensor y = arithmetic("pow", base, exponent, dtype, []<class T>(T x, T z) {
    if constexpr (std::is_floating_point_v<T>)
      return std::pow(x, z);
    else
      return T{};  // not reached: dividing() is floating
  });
  return op.with_grad(std::move(y), {base, exponent}, [&] {
    return [sa = Saved(base), se = Saved(exponent), ta = Target(base), te = Target(exponent)](const Tensor& dy) {
      return GradList{ta([&] { return slope_of_base(dy, sa(), se()); }),
                      te([&] { return slope_of_exponent(dy, sa(), se()); })};
    };
  });
}

Tensor pow(const Tensor& base, double exponent) {
  const Op op(kPowRow, [&](Arguments& a) { a.set("exponent", exponent); });
  if (exponent == 2) return op.result(base * base, {base});
  const Dtype dtype = dividing(base.dtype());
  const Tensor e = Tensor::of(exponent).to(dtype == Dtype::f64 ? Dtype::f64 : Dtype::f32);
  return op.result(pow(base.to(dtype), e), {base});
}

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  const Op op(kWhereRow);
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
  if (!needs_grad({a, b})) return op.result(std::move(y), {condition, a, b});  // a condition has no gradient
  return op.with_grad(std::move(y), {condition, a, b}, [&] {
    return [saved = Saved(truth), ta = Target(a), tb = Target(b)](const Tensor& dy) {
      const Tensor zero = Tensor::of(0).to(dy.dtype());
      return GradList{Tensor(), ta([&] { return where(saved(), dy, zero); }),
                      tb([&] { return where(saved(), zero, dy); })};
    };
  });
}

}  // namespace coppice
