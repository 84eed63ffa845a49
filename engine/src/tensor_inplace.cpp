// The methods of Tensor that end in "_".
#include <algorithm>
#include <cmath>
#include <cstring>

#include "broadcast.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/op.h"
#include "coppice/engine/ops/quantized.h"
#include "coppice/engine/quantized_tensor.h"
#include "ops/map.h"
#include "tensor_impl.h"

namespace coppice {
namespace {

/// An in-place write would make the graph wrong on a leaf that collects gradients, and lie on a computed value.
void check_writable(const char* op, const Tensor& t) {
  if (grad_enabled() && t.requires_grad())
    throw StateError(cat("[", op, "] a tensor that requires grad is written in place; do it under NoGrad"));
}

/// a[i] = f(a[i], b[i]) in the arithmetic type of `a`; `b` is broadcast to a's shape first.
template <class F>
void update(const char* op, Tensor& a, const Tensor& b, F f) {
  check_writable(op, a);
  if (a.is_quantized() || b.is_quantized()) detail::refuse_quantized(a.is_quantized() ? a.dtype() : b.dtype(), op);
  if (broadcast(op, a.shape(), b.shape()) != a.shape())
    throw ShapeError(cat("[", op, "] ", b.shape(), " does not broadcast to ", a.shape()));
  const NoGrad guard;
  const Unheard parts;
  const Tensor other = expand(b.to(a.dtype()), a.shape());
  dispatch(a.dtype(), [&]<class T>() {
    using A = std::conditional_t<std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>, float, T>;
    const auto y = a.mutable_data<T>();
    const auto x = other.data<T>();
    for (std::size_t i = 0; i < y.size(); ++i) y[i] = convert<T>(f(convert<A>(y[i]), convert<A>(x[i])));
  });
}

/// The integers of `source` with their parameters, or its floats as integers of those of `to`.
Tensor& copy_quantized(Tensor& to, const Tensor& source) {
  if (!to.is_quantized())
    throw DtypeError(cat("[copy_] a ", source.dtype(), " tensor is not copied into ", to.dtype(),
                         "; dequantize() gives its values"));
  Tensor same = source;
  if (!source.is_quantized()) same = quantize_like(source.to(Dtype::f32), to);
  if (same.dtype() != to.dtype())
    throw DtypeError(cat("[copy_] a ", same.dtype(), " tensor is not copied into ", to.dtype()));
  if (to.numel() > 0) std::memmove(to.mutable_bytes(), same.bytes(), to.nbytes());
  to.impl()->qparams = same.qparams();
  return to;
}

}  // namespace

Tensor& Tensor::fill_(double value) {
  check_writable("fill_", *this);
  if (is_quantized()) return copy_(full(shape(), value));
  dispatch(dtype(), [&]<class T>() { std::ranges::fill(mutable_data<T>(), convert<T>(value)); });
  return *this;
}

Tensor& Tensor::copy_(const Tensor& source) {
  check_writable("copy_", *this);
  if (source.shape() != shape())
    throw ShapeError(cat("[copy_] source ", source.shape(), " and target ", shape(), " differ"));
  const NoGrad guard;
  const Unheard parts;
  if (is_quantized() || source.is_quantized()) return copy_quantized(*this, source);
  const Tensor same = source.to(dtype());
  if (numel() > 0) std::memmove(mutable_bytes(), same.bytes(), nbytes());
  return *this;
}

Tensor& Tensor::add_(const Tensor& other, double alpha) {
  update("add_", *this, other, [alpha]<class T>(T y, T x) {
    if constexpr (std::is_floating_point_v<T>)
      return static_cast<T>(y + static_cast<T>(alpha) * x);
    else if (!detail::is_whole<T>(alpha))
      return convert<T>(static_cast<double>(y) + alpha * static_cast<double>(x));
    else
      return detail::wrapping(std::plus<>(), y, detail::scaled(x, alpha));
  });
  return *this;
}

Tensor& Tensor::mul_(const Tensor& other) {
  update("mul_", *this, other, []<class T>(T y, T x) {
    if constexpr (std::is_same_v<T, bool>)
      return y && x;
    else
      return detail::wrapping(std::multiplies<>(), y, x);
  });
  return *this;
}

Tensor& Tensor::mul_(double factor) {
  check_writable("mul_", *this);
  if (is_quantized()) detail::refuse_quantized(dtype(), "mul_");
  dispatch(dtype(), [&]<class T>() {
    if constexpr (std::is_same_v<T, float>) {
      for (float& y : mutable_data<float>()) y *= static_cast<float>(factor);
    } else {
      for (T& y : mutable_data<T>()) y = detail::scaled(y, factor);
    }
  });
  return *this;
}

Tensor& Tensor::replace_(const Tensor& source) {
  (void)deref(source, "replace_");
  if (!is_leaf()) throw StateError("[replace_] only a leaf can show other bytes");
  impl_->storage = source.storage();
  impl_->offset = source.storage_offset();
  impl_->shape = source.shape();
  impl_->dtype = source.dtype();
  impl_->qparams = source.qparams();
  if (impl_->grad.defined() && (impl_->grad.shape() != impl_->shape || impl_->grad.dtype() != impl_->dtype))
    impl_->grad = Tensor();
  return *this;
}

}  // namespace coppice
