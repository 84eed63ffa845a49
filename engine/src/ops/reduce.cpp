// Sums, means, variances, extremes.
#include <cmath>

#include "coppice/engine/autograd.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/quantized.h"
#include "ops/map.h"
#include "ops/op_rows.h"
#include "ops/reduction.h"

namespace coppice {
namespace {

using detail::arrange;
using detail::Line;
using detail::Reduction;
using rows::Over;

/// Blocks of eight running sums, added up in double: as accurate as pairwise summation, and vectorisable.
template <class T>
double sum_contiguous(const T* p, std::int64_t n) {
  constexpr std::int64_t kBlock = 512;
  double total = 0;
  for (std::int64_t at = 0; at < n; at += kBlock) {
    T lanes[8] = {};
    const std::int64_t end = std::min(n, at + kBlock);
    std::int64_t i = at;
    for (; i + 8 <= end; i += 8)
      for (int j = 0; j < 8; ++j) lanes[j] += p[i + j];
    double block = 0;
    for (const T lane : lanes) block += static_cast<double>(lane);
    for (; i < end; ++i) block += static_cast<double>(p[i]);
    total += block;
  }
  return total;
}

/// All of a large tensor: fixed pieces, added in order.
template <class T>
double sum_all(const T* p, std::int64_t n) {
  constexpr std::int64_t kPiece = 1 << 17;
  std::vector<double> pieces(static_cast<std::size_t>((n + kPiece - 1) / kPiece));
  parallel_for(n, kPiece, [&](Rows r) {
    pieces[static_cast<std::size_t>(r.begin / kPiece)] = sum_contiguous(p + r.begin, r.size());
  });
  double total = 0;
  for (const double piece : pieces) total += piece;
  return total;
}

/// Sum over `reduced` rows of `inner` neighbours each.
template <class T>
void sum_rows(const T* p, std::int64_t reduced, std::int64_t inner, T* y, Rows columns) {
  std::vector<double> total(static_cast<std::size_t>(columns.size()));
  for (std::int64_t r = 0; r < reduced; ++r) {
    const T* row = p + r * inner + columns.begin;
    for (std::size_t i = 0; i < total.size(); ++i) total[i] += static_cast<double>(row[i]);
  }
  for (std::size_t i = 0; i < total.size(); ++i)
    y[columns.begin + static_cast<std::int64_t>(i)] = static_cast<T>(total[i]);
}

template <class T>
Tensor float_sum(const Reduction& plan) {
  Tensor y = Tensor::empty(plan.result, dtype_of<T>);
  const T* from = plan.source.data<T>().data();
  T* to = y.mutable_data<T>().data();
  if (plan.inner > 1) {
    for (std::int64_t o = 0; o < plan.outer; ++o)
      parallel_for(plan.inner, 1 + (1 << 16) / (plan.reduced + 1), [&](Rows columns) {
        sum_rows(from + o * plan.reduced * plan.inner, plan.reduced, plan.inner, to + o * plan.inner, columns);
      });
  } else if (plan.outer == 1) {
    to[0] = static_cast<T>(sum_all(from, plan.reduced));
  } else {
    parallel_for(plan.outer, 1 + (1 << 16) / (plan.reduced + 1), [&](Rows rows) {
      for (std::int64_t o = rows.begin; o < rows.end; ++o)
        to[o] = static_cast<T>(sum_contiguous(from + o * plan.reduced, plan.reduced));
    });
  }
  return y;
}

void need_floating(const char* op, const Tensor& t) {
  if (!is_floating(t.dtype())) throw DtypeError(cat("[", op, "] needs a floating type; got ", t.dtype()));
}

template <class F>
Tensor extreme(const OpRow& row, const Tensor& t, const Axes& axes, bool keepdim, F wins) {
  const char* name = row.name.data();
  const Op op(row, Over{axes, keepdim});
  const Dtype inner = detail::compute_dtype(t.dtype());
  const Reduction plan = arrange(name, t.to(inner), axes, keepdim);
  if (plan.reduced == 0 && plan.outer * plan.inner > 0)
    throw ValueError(cat("[", name, "] has no elements to choose from in shape ", t.shape()));
  Tensor y = detail::dispatch_compute(inner, [&]<class T>() {
               return detail::reduce_lines<T, T>(plan, [wins](Line<T> line) {
                 T best = line[0];
                 for (std::int64_t i = 1; i < line.count; ++i) {
                   const T v = line[i];
                   if (wins(v, best) || v != v) best = v;
                   if (best != best) break;
                 }
                 return best;
               });
             }).to(t.dtype());
  return op.with_grad(y, {t}, [&] {
    return [x = Saved(t), best = Saved(y), keep = plan.keep, axes](const Tensor& dy) {
      const Tensor hit = eq(x(), best().reshape(keep)).to(dy.dtype());
      return GradList{hit / sum(hit, axes, true) * dy.reshape(keep)};
    };
  });
}

template <class F>
Tensor arg_extreme(const OpRow& row, const Tensor& t, std::int64_t axis, bool keepdim, F wins) {
  const Op op(row, [=](Arguments& a) {
    a.set("dim", axis);
    a.set("keepdim", keepdim);
  });
  const Dtype inner = detail::compute_dtype(t.dtype());
  NoGrad guard;
  const Reduction plan = arrange(row.name.data(), t.to(inner), {axis}, keepdim);
  if (plan.reduced == 0) throw ValueError(cat("[", row.name, "] axis ", axis, " of ", t.shape(), " is empty"));
  Tensor y = detail::dispatch_compute(inner, [&]<class T>() {
    return detail::reduce_lines<T, std::int64_t>(plan, [wins](Line<T> line) {
      std::int64_t best = 0;
      for (std::int64_t i = 0; i < line.count; ++i) {
        if (line[i] != line[i]) return i;
        if (wins(line[i], line[best])) best = i;
      }
      return best;
    });
  });
  return op.result(std::move(y), {t});
}

template <class F>
Tensor truth(const OpRow& row, const Tensor& t, const Axes& axes, bool keepdim, F f) {
  const Op op(row, Over{axes, keepdim});
  const Reduction plan = arrange(row.name.data(), t.to(Dtype::boolean), axes, keepdim);
  return op.result(detail::reduce_lines<bool, bool>(plan, f), {t});
}

/// Sum of integers, which wraps around as torch's does.
Tensor integer_sum(const Tensor& t, const Axes& axes, bool keepdim) {
  const Reduction plan = arrange("sum", t.to(Dtype::i64), axes, keepdim);
  return detail::reduce_lines<std::int64_t, std::int64_t>(plan, [](Line<std::int64_t> line) {
    std::uint64_t total = 0;
    for (std::int64_t i = 0; i < line.count; ++i) total += static_cast<std::uint64_t>(line[i]);
    return static_cast<std::int64_t>(total);
  });
}

constexpr AttributeRow kVar[] = {{"dim", AttributeKind::integers, Absent{}},
                                 {"correction", AttributeKind::integer, std::int64_t{1}},
                                 {"keepdim", AttributeKind::boolean, false}};
// PyTorch's dim, left out, means all elements in a row: here it must be said.
constexpr AttributeRow kAxis[] = {{"dim", AttributeKind::integer}, {"keepdim", AttributeKind::boolean, false}};

/// f(t, axes, keepdim) as `call`.
template <Tensor (*f)(const Tensor&, const Axes&, bool)>
constexpr auto kOver =
    [](rows::In in, rows::With a) { return TensorList{f(in[0], rows::axes(a), a.boolean("keepdim"))}; };
template <Tensor (*f)(const Tensor&, std::int64_t, bool)>
constexpr auto kAlong =
    [](rows::In in, rows::With a) { return TensorList{f(in[0], a.integer("dim"), a.boolean("keepdim"))}; };
TensorList var_from(rows::In in, rows::With a) {
  return {var(in[0], rows::axes(a), a.integer("correction"), a.boolean("keepdim"))};
}

// name, PyTorch, ONNX, inputs, attributes, flags, call
constexpr OpFlags kLinear = OpFlags::differentiable | OpFlags::zero_to_zero;
constexpr OpRow kSumRow = rows::row("sum", "torch.sum", "ReduceSum", "input", rows::kOverAxes, kLinear, kOver<sum>);
constexpr OpRow kMeanRow =
    rows::row("mean", "torch.mean", "ReduceMean", "input", rows::kOverAxes, kLinear, kOver<mean>);
constexpr OpRow kVarRow = rows::row("var", "torch.var", "", "input", kVar, OpFlags::differentiable, var_from);
constexpr OpRow kMaxRow = rows::row("max", "torch.amax", "ReduceMax", "input", rows::kOverAxes, kLinear, kOver<max>);
constexpr OpRow kMinRow = rows::row("min", "torch.amin", "ReduceMin", "input", rows::kOverAxes, kLinear, kOver<min>);
constexpr OpRow kArgmaxRow =
    rows::row("argmax", "torch.argmax", "ArgMax", "input", kAxis, OpFlags::none, kAlong<argmax>);
constexpr OpRow kArgminRow =
    rows::row("argmin", "torch.argmin", "ArgMin", "input", kAxis, OpFlags::none, kAlong<argmin>);
constexpr OpRow kAnyRow =
    rows::row("any", "torch.any", "", "input", rows::kOverAxes, OpFlags::zero_to_zero, kOver<any>);
constexpr OpRow kAllRow = rows::row("all", "torch.all", "", "input", rows::kOverAxes, OpFlags::none, kOver<all>);

}  // namespace

rows::Rows rows::reduce() {
  static constexpr const OpRow* kRows[] = {&kSumRow,    &kMeanRow,   &kVarRow, &kMaxRow, &kMinRow,
                                           &kArgmaxRow, &kArgminRow, &kAnyRow, &kAllRow};
  return kRows;
}

Tensor sum(const Tensor& t, const Axes& axes, bool keepdim) {
  const Op op(kSumRow, Over{axes, keepdim});
  if (!is_floating(t.dtype())) return op.result(integer_sum(t, axes, keepdim), {t});
  const Dtype inner = detail::compute_dtype(t.dtype());
  const Reduction plan = arrange("sum", t.to(inner), axes, keepdim);
  Tensor y = detail::dispatch_float(inner, [&]<class T>() { return float_sum<T>(plan); });
  return op.with_grad(y.to(t.dtype()), {t}, [&] {
    return
        [keep = plan.keep, shape = t.shape()](const Tensor& dy) { return GradList{expand(dy.reshape(keep), shape)}; };
  });
}

Tensor mean(const Tensor& t, const Axes& axes, bool keepdim) {
  const Op op(kMeanRow, Over{axes, keepdim});
  need_floating("mean", t);
  const Tensor total = sum(t, axes, keepdim);
  const double n = total.numel() == 0 ? 1 : static_cast<double>(t.numel()) / static_cast<double>(total.numel());
  return op.result(total / n, {t});
}

Tensor var(const Tensor& t, const Axes& axes, std::int64_t correction, bool keepdim) {
  const Op op(kVarRow, [&](Arguments& a) {
    Over{axes, keepdim}(a);
    a.set("correction", correction);
  });
  need_floating("var", t);
  const Tensor centred = t - mean(t, axes, true);
  const Tensor squares = sum(centred * centred, axes, keepdim);
  const double n = squares.numel() == 0 ? 1 : static_cast<double>(t.numel()) / static_cast<double>(squares.numel());
  return op.result(squares / (n - static_cast<double>(correction)), {t});
}

Tensor max(const Tensor& t, const Axes& axes, bool keepdim) {
  return extreme(kMaxRow, t, axes, keepdim, [](auto a, auto b) { return a > b; });
}
Tensor min(const Tensor& t, const Axes& axes, bool keepdim) {
  return extreme(kMinRow, t, axes, keepdim, [](auto a, auto b) { return a < b; });
}
Tensor argmax(const Tensor& t, std::int64_t axis, bool keepdim) {
  return arg_extreme(kArgmaxRow, t, axis, keepdim, [](auto a, auto b) { return a > b; });
}
Tensor argmin(const Tensor& t, std::int64_t axis, bool keepdim) {
  return arg_extreme(kArgminRow, t, axis, keepdim, [](auto a, auto b) { return a < b; });
}

Tensor any(const Tensor& t, const Axes& axes, bool keepdim) {
  return truth(kAnyRow, t, axes, keepdim, [](Line<bool> line) {
    for (std::int64_t i = 0; i < line.count; ++i)
      if (line[i]) return true;
    return false;
  });
}
Tensor all(const Tensor& t, const Axes& axes, bool keepdim) {
  return truth(kAllRow, t, axes, keepdim, [](Line<bool> line) {
    for (std::int64_t i = 0; i < line.count; ++i)
      if (!line[i]) return false;
    return true;
  });
}

std::int64_t count_nonzero(const Tensor& t) {
  if (t.is_quantized()) return count_nonzero(dequantize(t));
  return dispatch(t.dtype(), [&]<class T>() {
    std::int64_t n = 0;
    for (const T v : t.data<T>()) n += convert<bool>(v) ? 1 : 0;
    return n;
  });
}

}  // namespace coppice
