// Functions of one tensor.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/random.h"
#include "functions.h"
#include "ops/map.h"
#include "ops/op_rows.h"
#include "quant/integers.h"

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

/// Gradient dy * f'(saved), saved being the input or the result, as a backward function.
template <class F>
auto slope_at(const Tensor& keep, F slope) {
  return [kept = Saved(keep), slope](const Tensor& dy) {
    const Dtype inner = detail::compute_dtype(dy.dtype());
    Tensor dx = Tensor::empty(dy.shape(), inner);
    detail::dispatch_float(inner, [&]<class T>() {
      detail::map2_into<T, T>(dy.to(inner), kept().to(inner), dx, [slope](T g, T v) { return slope(g, v); });
    });
    return GradList{dx.to(dy.dtype())};
  };
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

constexpr OpFlags kSmooth = OpFlags::differentiable | OpFlags::elementwise;
constexpr OpFlags kKeepsZero = kSmooth | OpFlags::zero_to_zero;
constexpr AttributeRow kGelu[] = {{"approximate", AttributeKind::text, "none"}};
constexpr double kUnlimited = std::numeric_limits<double>::infinity();
constexpr AttributeRow kLimits[] = {{"min", AttributeKind::number, -kUnlimited},
                                    {"max", AttributeKind::number, kUnlimited}};
constexpr AttributeRow kDropout[] = {{"p", AttributeKind::number, 0.5}};

TensorList gelu_from(rows::In in, rows::With a) {
  const std::string form = a.text("approximate");
  if (form != "none" && form != "tanh")
    throw ValueError(cat("[gelu] approximate must be 'none' or 'tanh'; got '", form, "'"));
  return {gelu(in[0], form == "tanh")};
}
TensorList clamp_from(rows::In in, rows::With a) { return {clamp(in[0], a.number("min"), a.number("max"))}; }
TensorList dropout_from(rows::In in, rows::With a) { return {dropout(in[0], a.number("p"))}; }

// name, PyTorch, ONNX, inputs, attributes, flags, call
constexpr OpRow kNegRow = rows::row("neg", "torch.neg|operator.neg", "Neg", "input", {}, kKeepsZero, rows::kOne<neg>);
constexpr OpRow kAbsRow = rows::row("abs", "torch.abs|operator.abs", "Abs", "input", {}, kKeepsZero, rows::kOne<abs>);
constexpr OpRow kExpRow = rows::row("exp", "torch.exp", "Exp", "input", {}, kSmooth, rows::kOne<exp>);
constexpr OpRow kLogRow = rows::row("log", "torch.log", "Log", "input", {}, kSmooth, rows::kOne<log>);
constexpr OpRow kSqrtRow = rows::row("sqrt", "torch.sqrt", "Sqrt", "input", {}, kKeepsZero, rows::kOne<sqrt>);
constexpr OpRow kTanhRow = rows::row("tanh", "torch.tanh", "Tanh", "input", {}, kKeepsZero, rows::kOne<tanh>);
constexpr OpRow kSigmoidRow =
    rows::row("sigmoid", "torch.sigmoid", "Sigmoid", "input", {}, kSmooth, rows::kOne<sigmoid>);
constexpr OpRow kReluRow =
    rows::row("relu", "torch.relu|torch.nn.functional.relu", "Relu", "input", {}, kKeepsZero, rows::kOne<relu>);
constexpr OpRow kGeluRow = rows::row("gelu", "torch.nn.functional.gelu", "Gelu", "input", kGelu, kKeepsZero, gelu_from);
constexpr OpRow kClampRow = rows::row("clamp", "torch.clamp", "Clip", "input", kLimits, kSmooth, clamp_from);
constexpr OpRow kDropoutRow = rows::row("dropout", "torch.nn.functional.dropout", "Dropout", "input", kDropout,
                                        kKeepsZero | OpFlags::random, dropout_from);

}  // namespace

rows::Rows rows::unary() {
  static constexpr const OpRow* kRows[] = {&kNegRow,     &kAbsRow,  &kExpRow,  &kLogRow,   &kSqrtRow,   &kTanhRow,
                                           &kSigmoidRow, &kReluRow, &kGeluRow, &kClampRow, &kDropoutRow};
  return kRows;
}

Tensor add(const Tensor& a, double b) {
  const Op op(rows::kAdd, [b](Arguments& with) { with.set("other", b); });
  if (!is_floating(a.dtype()) && b != std::trunc(b)) return op.result(add(a.to(Dtype::f32), b), {a});
  return op.with_grad(same_type(a, [b]<class T>(T v) { return detail::shifted(v, b); }), {a},
                      [] { return [](const Tensor& dy) { return GradList{dy}; }; });
}

Tensor mul(const Tensor& a, double b) {
  const Op op(rows::kMul, [b](Arguments& with) { with.set("other", b); });
  if (!is_floating(a.dtype()) && b != std::trunc(b)) return op.result(mul(a.to(Dtype::f32), b), {a});
  Tensor y = same_type(a, [b]<class T>(T v) {
    if constexpr (std::is_floating_point_v<T>)
      return v * static_cast<T>(b);
    else
      return detail::scaled(v, b);
  });
  return op.with_grad(std::move(y), {a}, [b] { return [b](const Tensor& dy) { return GradList{mul(dy, b)}; }; });
}

Tensor neg(const Tensor& x) {
  const Op op(kNegRow);
  if (x.dtype() == Dtype::boolean) throw DtypeError("[neg] a bool tensor has no negative; use logical_not");
  return op.with_grad(same_type(x, []<class T>(T v) { return detail::negative(v); }), {x},
                      [] { return [](const Tensor& dy) { return GradList{neg(dy)}; }; });
}

Tensor abs(const Tensor& x) {
  const Op op(kAbsRow);
  Tensor y = same_type(x, []<class T>(T v) {
    if constexpr (std::is_unsigned_v<T>)
      return v;
    else
      return v < 0 ? detail::negative(v) : (v == 0 ? T{} : v);
  });
  return op.with_grad(y, {x}, [&] {
    return slope_at(x, []<class T>(T g, T v) { return v > 0 ? g : v < 0 ? -g : v == 0 ? T(0) : g * v; });
  });
}

Tensor exp(const Tensor& x) {
  const Op op(kExpRow);
  Tensor y = vectorised(x, kernels::vexp, [](auto v) { return std::exp(v); });
  return op.with_grad(y, {x}, [&] { return slope_at(y, [](auto g, auto v) { return g * v; }); });
}

Tensor log(const Tensor& x) {
  const Op op(kLogRow);
  Tensor y = floating(x, [](auto v) { return std::log(v); });
  return op.with_grad(y, {x}, [&] { return slope_at(x, [](auto g, auto v) { return g / v; }); });
}

Tensor sqrt(const Tensor& x) {
  const Op op(kSqrtRow);
  Tensor y = floating(x, [](auto v) { return std::sqrt(v); });
  return op.with_grad(y, {x}, [&] { return slope_at(y, [](auto g, auto v) { return g / (2 * v); }); });
}

Tensor tanh(const Tensor& x) {
  const Op op(kTanhRow);
  Tensor y = vectorised(x, kernels::vtanh, [](auto v) { return std::tanh(v); });
  return op.with_grad(y, {x}, [&] { return slope_at(y, [](auto g, auto v) { return g * (1 - v * v); }); });
}

Tensor sigmoid(const Tensor& x) {
  const Op op(kSigmoidRow);
  Tensor y = vectorised(x, kernels::vsigmoid, []<class T>(T v) { return T(1) / (T(1) + std::exp(-v)); });
  return op.with_grad(y, {x}, [&] { return slope_at(y, [](auto g, auto v) { return g * v * (1 - v); }); });
}

namespace {

/// max(q, zero point): the zero point is what 0 is stored as.
Tensor quantized_relu(const Tensor& q) {
  const Tensor integers = quant::integers("relu", q);
  const std::int64_t zero = q.qparams()->zero_points()[0];
  Tensor y = Tensor::empty(q.shape(), integers.dtype());
  detail::dispatch_compute(integers.dtype(), [&]<class T>() {
    detail::map_into<T, T>(integers, y, [z = static_cast<T>(zero)](T v) { return std::max(v, z); });
  });
  return quant::quantized_over(y, q.dtype(), q.qparams());
}

}  // namespace

Tensor relu(const Tensor& x) {
  const Op op(kReluRow);
  if (x.is_quantized()) return op.result(quantized_relu(x), {x});
  Tensor y = same_type(x, []<class T>(T v) { return v < T{} ? T{} : v; });
  return op.with_grad(y, {x}, [&] { return slope_at(y, []<class T>(T g, T v) { return v > 0 ? g : T(0); }); });
}

Tensor gelu(const Tensor& x, bool tanh_form) {
  const Op op(kGeluRow, [tanh_form](Arguments& a) { a.set("approximate", std::string(tanh_form ? "tanh" : "none")); });
  Tensor y = floating(x, [tanh_form](auto v) { return gelu_value(v, tanh_form); });
  return op.with_grad(
      y, {x}, [&] { return slope_at(x, [tanh_form](auto g, auto v) { return g * gelu_slope(v, tanh_form); }); });
}

Tensor clamp(const Tensor& x, double low, double high) {
  const Op op(kClampRow, [low, high](Arguments& a) {
    a.set("min", low);
    a.set("max", high);
  });
  if (std::isnan(low) || std::isnan(high)) throw ValueError("[clamp] a limit is NaN");
  Tensor y = same_type(x, [low, high]<class T>(T v) {
    if constexpr (std::is_same_v<T, bool>)
      return v;
    else {
      const double w = static_cast<double>(v);
      return w > high ? convert<T>(high) : w < low ? convert<T>(std::min(low, high)) : v;
    }
  });
  return op.with_grad(y, {x}, [&] {
    return slope_at(x, [low, high]<class T>(T g, T v) { return v >= T(low) && v <= T(high) ? g : T(0); });
  });
}

Tensor dropout(const Tensor& x, double p, Generator* generator) {
  if (!(p >= 0 && p <= 1)) throw ValueError(cat("[dropout] p must be in 0..1; got ", p));
  if (!is_floating(x.dtype())) throw DtypeError(cat("[dropout] needs a floating type; got ", x.dtype()));
  const Op op(kDropoutRow, [p](Arguments& a) { a.set("p", p); });
  if (p == 0 || x.numel() == 0) return op.result(mul(x, 1.0), {x});
  if (p == 1) return op.result(mul(x, 0.0), {x});
  Generator& g = generator != nullptr ? *generator : default_generator();
  Tensor keep = Tensor::empty(x.shape());
  g.bernoulli(keep.mutable_data<float>(), 1 - p);
  return op.result(x * (keep * (1 / (1 - p))).to(x.dtype()), {x});
}

}  // namespace coppice
