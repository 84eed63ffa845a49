#include "coppice/engine/ops/softmax.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/engine/ops/shape_ops.h"
#include "ops/map.h"
#include "ops/op_rows.h"

namespace coppice {
namespace {

/// Applies `f(first, count, stride, to)` to every line along `axis` of a tensor in a computing type.
template <class F>
Tensor along(const char* op, const Tensor& x, std::int64_t axis, F f) {
  if (!is_floating(x.dtype())) throw DtypeError(cat("[", op, "] needs a floating type; got ", x.dtype()));
  axis = resolve_axis(op, axis, x.dim());
  const Dtype inner = detail::compute_dtype(x.dtype());
  const Tensor from = x.detach().to(inner);
  Tensor y = Tensor::empty(x.shape(), inner);
  std::int64_t stride = 1;
  for (std::int64_t i = axis + 1; i < x.dim(); ++i) stride *= x.size(i);
  const std::int64_t count = x.dim() == 0 ? 1 : x.size(axis);
  const std::int64_t lines = count == 0 ? 0 : x.numel() / count;
  detail::dispatch_float(inner, [&]<class T>() {
    const T* p = from.data<T>().data();
    T* q = y.mutable_data<T>().data();
    parallel_for(lines, 1 + (1 << 12) / (count + 1), [&](Rows rows) {
      for (std::int64_t line = rows.begin; line < rows.end; ++line) {
        const std::int64_t at = line / stride * stride * count + line % stride;
        f(p + at, q + at, count, stride);
      }
    });
  });
  return y.to(x.dtype());
}

template <class T>
T maximum_of(const T* p, std::int64_t count, std::int64_t stride) {
  T m = p[0];
  for (std::int64_t i = 1; i < count; ++i) m = p[i * stride] > m ? p[i * stride] : m;
  return std::isinf(m) && m < 0 ? T(0) : m;  // a line of -inf must not become inf - inf
}

Tensor reduced(const Tensor& values, Reduction reduction) {
  switch (reduction) {
    case Reduction::none: return values;
    case Reduction::sum: return sum(values);
    case Reduction::mean: break;
  }
  return values.numel() == 0 ? sum(values) / 0.0 : mean(values);
}

constexpr std::array<std::string_view, 3> kReductions{"none", "mean", "sum"};
std::string name_of(Reduction reduction) { return std::string(kReductions[static_cast<std::size_t>(reduction)]); }

constexpr AttributeRow kAxis[] = {{"dim", AttributeKind::integer, std::int64_t{-1}}};
constexpr AttributeRow kReduced[] = {{"reduction", AttributeKind::text, "mean"}};

/// f(x, axis) as `call`.
template <Tensor (*f)(const Tensor&, std::int64_t)>
constexpr auto kAlong = [](rows::In in, rows::With a) { return TensorList{f(in[0], a.integer("dim"))}; };
TensorList cross_entropy_from(rows::In in, rows::With a) {
  return {cross_entropy(in[0], in[1], rows::word<Reduction>(a, "reduction", kReductions, "cross_entropy"))};
}
TensorList mse_loss_from(rows::In in, rows::With a) {
  return {mse_loss(in[0], in[1], rows::word<Reduction>(a, "reduction", kReductions, "mse_loss"))};
}

// name, PyTorch, ONNX, inputs, attributes, flags, call
constexpr OpFlags kSmooth = OpFlags::differentiable;
constexpr OpRow kSoftmaxRow = rows::row("softmax", "torch.softmax|torch.nn.functional.softmax", "Softmax", "input",
                                        kAxis, kSmooth, kAlong<softmax>);
constexpr OpRow kLogSoftmaxRow = rows::row("log_softmax", "torch.log_softmax|torch.nn.functional.log_softmax",
                                           "LogSoftmax", "input", kAxis, kSmooth, kAlong<log_softmax>);
constexpr OpRow kCrossEntropyRow =
    rows::row("cross_entropy", "torch.nn.functional.cross_entropy", "SoftmaxCrossEntropyLoss", "logits target",
              kReduced, kSmooth, cross_entropy_from);
constexpr OpRow kMseLossRow = rows::row("mse_loss", "torch.nn.functional.mse_loss", "", "input target", kReduced,
                                        kSmooth | OpFlags::zero_to_zero, mse_loss_from);

Tensor checked_labels(const Tensor& logits, const Tensor& target) {
  if (logits.dim() != 2 || target.shape() != Shape{logits.size(0)})
    throw ShapeError(cat("[cross_entropy] needs logits: [n, classes] and target: [n]; got ", logits.shape(), " and ",
                         target.shape()));
  if (is_floating(target.dtype()) || target.dtype() == Dtype::boolean)
    throw DtypeError(cat("[cross_entropy] target must hold class indices of an integer type; got ", target.dtype()));
  Tensor labels = target.to(Dtype::i64);
  const std::int64_t classes = logits.size(1);
  const auto wanted = labels.data<std::int64_t>();
  for (std::size_t i = 0; i < wanted.size(); ++i)
    if (wanted[i] < 0 || wanted[i] >= classes)
      throw IndexError(cat("[cross_entropy] class ", wanted[i], " of sample ", i, " is outside 0..", classes - 1));
  return labels;
}

/// -log_p of each sample's label, without gradient.
Tensor picked_losses(const Tensor& log_p, const Tensor& labels) {
  Tensor picked = Tensor::empty(labels.shape(), log_p.dtype());
  const auto wanted = labels.data<std::int64_t>();
  const auto classes = static_cast<std::size_t>(log_p.size(1));
  dispatch(log_p.dtype(), [&]<class T>() {
    const auto from = log_p.data<T>();
    const auto to = picked.mutable_data<T>();
    for (std::size_t i = 0; i < to.size(); ++i)
      to[i] = convert<T>(-convert<double>(from[i * classes + static_cast<std::size_t>(wanted[i])]));
  });
  return picked;
}

/// Its gradient: -dy at the labels, and 0 elsewhere.
Tensor at_labels(const Tensor& dy, const Tensor& labels, const Shape& shape) {
  Tensor dx = zeros(shape, dy.dtype());
  const auto index = labels.data<std::int64_t>();
  dispatch(dy.dtype(), [&]<class T>() {
    const auto to = dx.mutable_data<T>();
    const auto g = dy.data<T>();
    for (std::size_t i = 0; i < g.size(); ++i)
      to[i * static_cast<std::size_t>(shape[1]) + static_cast<std::size_t>(index[i])] =
          convert<T>(-convert<double>(g[i]));
  });
  return dx;
}

}  // namespace

rows::Rows rows::softmax() {
  static constexpr const OpRow* kRows[] = {&kSoftmaxRow, &kLogSoftmaxRow, &kCrossEntropyRow, &kMseLossRow};
  return kRows;
}

Tensor softmax(const Tensor& x, std::int64_t axis) {
  const Op op(kSoftmaxRow, [axis](Arguments& a) { a.set("dim", axis); });
  Tensor y = along("softmax", x, axis, []<class T>(const T* p, T* q, std::int64_t count, std::int64_t stride) {
    const T m = maximum_of(p, count, stride);
    T total = 0;
    for (std::int64_t i = 0; i < count; ++i) total += q[i * stride] = std::exp(p[i * stride] - m);
    for (std::int64_t i = 0; i < count; ++i) q[i * stride] /= total;
  });
  return op.with_grad(y, {x}, [&] {
    return [s = Saved(y), axis](const Tensor& dy) {
      const Tensor weighted = dy * s();
      return GradList{weighted - s() * sum(weighted, {axis}, true)};  // s (dy - Σ dy s)
    };
  });
}

Tensor log_softmax(const Tensor& x, std::int64_t axis) {
  const Op op(kLogSoftmaxRow, [axis](Arguments& a) { a.set("dim", axis); });
  Tensor y = along("log_softmax", x, axis, []<class T>(const T* p, T* q, std::int64_t count, std::int64_t stride) {
    const T m = maximum_of(p, count, stride);
    T total = 0;
    for (std::int64_t i = 0; i < count; ++i) total += std::exp(p[i * stride] - m);
    const T shift = m + std::log(total);
    for (std::int64_t i = 0; i < count; ++i) q[i * stride] = p[i * stride] - shift;
  });
  return op.with_grad(y, {x}, [&] {
    return [s = Saved(y), axis](const Tensor& dy) { return GradList{dy - exp(s()) * sum(dy, {axis}, true)}; };
  });
}

Tensor cross_entropy(const Tensor& logits, const Tensor& target, Reduction reduction) {
  const Op op(kCrossEntropyRow, [reduction](Arguments& a) { a.set("reduction", name_of(reduction)); });
  const Tensor labels = checked_labels(logits, target);
  const Tensor log_p = log_softmax(logits, 1);
  // A gradient that hangs on the picked values alone, below the mean or sum of them.
  const Op picking(kCrossEntropyRow, [](Arguments& a) { a.set("reduction", name_of(Reduction::none)); });
  const Tensor picked = picking.with_grad(picked_losses(log_p, labels), {log_p, target}, [&] {
    return [t = Saved(labels), shape = logits.shape()](const Tensor& dy) {
      return GradList{at_labels(dy, t(), shape), Tensor()};
    };
  });
  return op.result(reduced(picked, reduction), {logits, target});
}

Tensor mse_loss(const Tensor& input, const Tensor& target, Reduction reduction) {
  const Op op(kMseLossRow, [reduction](Arguments& a) { a.set("reduction", name_of(reduction)); });
  if (input.shape() != target.shape())
    throw ShapeError(cat("[mse_loss] input ", input.shape(), " and target ", target.shape(), " differ"));
  const Tensor d = input - target;
  return op.result(reduced(d * d, reduction), {input, target});
}

}  // namespace coppice
