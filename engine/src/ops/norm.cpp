// torch.norm in all its orders.
#include <cmath>
#include <limits>

#include "coppice/engine/autograd.h"
#include "coppice/engine/ops/elementwise.h"
#include "ops/map.h"
#include "ops/nuclear.h"
#include "ops/op_rows.h"
#include "ops/reduction.h"

namespace coppice {
namespace {

using detail::Line;

constexpr std::int64_t kGrain = 1 << 16;  // elements of one task: 20 µs

/// (Σ|a|^p)^(1/p) from quotients by the largest |a| (p < 0: the smallest), whose powers are at most 1 and add up to at
/// least 1: whatever the range of a double holds comes out of it.
template <class T>
double scaled_norm(Line<T> line, double p) {
  double unit = p > 0 ? 0 : std::numeric_limits<double>::infinity();
  for (std::int64_t i = 0; i < line.count; ++i) {
    const double v = std::abs(static_cast<double>(line[i]));
    if (std::isnan(v)) return v;
    unit = p > 0 ? std::max(unit, v) : std::min(unit, v);
  }
  if (unit == 0 || std::isinf(unit)) return unit;
  double total = 0;
  for (std::int64_t i = 0; i < line.count; ++i) {
    const double q = std::abs(static_cast<double>(line[i])) / unit;
    total += p == 2 ? q * q : std::pow(q, p);
  }
  return unit * (p == 2 ? std::sqrt(total) : std::pow(total, 1 / p));
}

/// Whether a sum of powers is not to be trusted: overflown, NaN, or so small that digits of its terms were lost.
bool off_scale(double total) {
  constexpr double least = std::numeric_limits<double>::min() / std::numeric_limits<double>::epsilon();
  return !(total >= least && total <= std::numeric_limits<double>::max());
}

/// Sum of f over neighbours, in eight running sums: vectorisable.
template <class T, class F>
double sum_of(const T* p, std::int64_t n, F f) {
  double lanes[8] = {};
  std::int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (int j = 0; j < 8; ++j) lanes[j] += f(static_cast<double>(p[i + j]));
  double total = 0;
  for (const double lane : lanes) total += lane;
  for (; i < n; ++i) total += f(static_cast<double>(p[i]));
  return total;
}

/// y[o, i] = last(sum of f over the reduced elements, those elements), added in double; rows of neighbours are read as
/// they lie.
template <class T, class F, class G>
Tensor sums(const detail::Reduction& plan, F f, G last) {
  Tensor y = Tensor::empty(plan.result, dtype_of<T>);
  const T* from = plan.source.data<T>().data();
  T* to = y.mutable_data<T>().data();
  const std::int64_t n = plan.reduced, inner = plan.inner;
  if (inner == 1) {
    parallel_for(plan.outer, 1 + kGrain / (n + 1), [&](Rows rows) {
      for (std::int64_t o = rows.begin; o < rows.end; ++o)
        to[o] = static_cast<T>(last(sum_of(from + o * n, n, f), Line<T>{from + o * n, n, 1}));
    });
    return y;
  }
  for (std::int64_t o = 0; o < plan.outer; ++o)
    parallel_for(inner, 1 + kGrain / (n + 1), [&](Rows columns) {
      std::vector<double> total(static_cast<std::size_t>(columns.size()));
      for (std::int64_t r = 0; r < n; ++r) {
        const T* row = from + (o * n + r) * inner + columns.begin;
        for (std::size_t i = 0; i < total.size(); ++i) total[i] += f(static_cast<double>(row[i]));
      }
      for (std::int64_t i = columns.begin; i < columns.end; ++i)
        to[o * inner + i] = static_cast<T>(
            last(total[static_cast<std::size_t>(i - columns.begin)], Line<T>{from + o * n * inner + i, n, inner}));
    });
  return y;
}

/// A norm of another order than 0, 1 and 2, accumulated in double. NaN entries give NaN.
template <class T>
double norm_of(Line<T> line, double p) {
  const std::int64_t n = line.count;
  if (n == 0) return 0;
  double total = 0;
  if (std::isinf(p)) {
    total = std::abs(static_cast<double>(line[0]));
    for (std::int64_t i = 0; i < n; ++i) {
      const double v = std::abs(static_cast<double>(line[i]));
      if (std::isnan(v)) return v;
      total = p > 0 ? std::max(total, v) : std::min(total, v);
    }
    return total;
  }
  for (std::int64_t i = 0; i < n; ++i) total += std::pow(std::abs(static_cast<double>(line[i])), p);
  return off_scale(total) ? scaled_norm(line, p) : std::pow(total, 1 / p);
}

/// Sum of the singular values of a [rows, cols] line.
template <class T>
double nuclear(Line<T> line, std::int64_t rows, std::int64_t cols) {
  std::vector<double> values(static_cast<std::size_t>(line.count));
  for (std::int64_t i = 0; i < line.count; ++i) values[static_cast<std::size_t>(i)] = static_cast<double>(line[i]);
  return detail::nuclear_norm(values.data(), rows, cols);
}

/// Norms of the lines of `plan` for another order than 'nuc'.
template <class T>
Tensor ordered_norm(const detail::Reduction& plan, double p) {
  const auto same = [](double x, Line<T>) { return x; };
  if (p == 0)
    return sums<T>(
        plan, [](double x) { return x != 0 ? 1.0 : 0.0; }, same);
  if (p == 1)
    return sums<T>(
        plan, [](double x) { return std::abs(x); }, same);
  // One entry is its own norm, without the rounding of powers and roots (which float32 in double does not have).
  if (plan.reduced == 1) return detail::reduce_lines<T, T>(plan, [](Line<T> l) { return std::abs(l[0]); });
  if (p != 2) return detail::reduce_lines<T, T>(plan, [p](Line<T> l) { return static_cast<T>(norm_of(l, p)); });
  return sums<T>(
      plan, [](double x) { return x * x; },
      [](double x, Line<T> line) {
        if constexpr (std::is_same_v<T, double>)  // squares of float32 are ordinary doubles
          if (off_scale(x)) return scaled_norm(line, 2);
        return std::sqrt(x);
      });
}

/// Nuclear norms; `rows` is the size of the first of the two reduced axes.
template <class T>
Tensor nuclear_norms(const detail::Reduction& plan, std::int64_t rows) {
  const std::int64_t cols = rows == 0 ? 0 : plan.reduced / rows;
  return detail::reduce_lines<T, T>(plan, [=](Line<T> l) { return static_cast<T>(nuclear(l, rows, cols)); });
}

/// Size of the first axis, in the order of `t`, of the two that a nuclear norm reduces.
std::int64_t rows_of(const Tensor& t, const Axes& axes) {
  if (axes.empty()) return t.size(0);
  return t.size(std::min(resolve_axis("norm", axes[0], t.dim()), resolve_axis("norm", axes[1], t.dim())));
}

void check_norm(const Tensor& t, const NormOrder& order, const Axes& axes) {
  if (!is_floating(t.dtype())) throw DtypeError(cat("[norm] needs a floating type; got ", t.dtype()));
  const auto named = axes.empty() ? t.dim() : static_cast<std::int64_t>(axes.size());
  if (order.word == NormOrder::Word::fro && named > 2)
    throw ValueError(cat("[norm] 'fro' reduces at most 2 axes; got ", named));
  if (order.word == NormOrder::Word::nuc && named != 2)
    throw ValueError(cat("[norm] 'nuc' reduces exactly 2 axes; got ", named));
}

constexpr AttributeRow kNorm[] = {{"p", AttributeKind::scalar, std::int64_t{2}},
                                  {"dim", AttributeKind::integers, Absent{}},
                                  {"keepdim", AttributeKind::boolean, false}};

TensorList norm_from(rows::In in, rows::With a) {
  const NormOrder order = rows::is_text(a, "p") ? NormOrder(a.text("p")) : NormOrder(a.number("p"));
  return {norm(in[0], order, rows::axes(a), a.boolean("keepdim"))};
}

constexpr OpRow kNormRow = rows::row("norm", "torch.norm", "ReduceL1|ReduceL2", "input", kNorm,
                                     OpFlags::differentiable | OpFlags::zero_to_zero, norm_from);

}  // namespace

rows::Rows rows::norm() {
  static constexpr const OpRow* kRows[] = {&kNormRow};
  return kRows;
}

Tensor norm(const Tensor& t, NormOrder order, const Axes& axes, bool keepdim) {
  const bool word = order.word != NormOrder::Word::none;
  const Op op(kNormRow, [&](Arguments& a) {
    a.set("p", word ? Argument(to_string(order)) : Argument(order.p));
    rows::Over{axes, keepdim}(a);
  });
  check_norm(t, order, axes);
  const bool singular = order.word == NormOrder::Word::nuc;
  const double p = word ? 2 : order.p;
  const Dtype inner = detail::compute_dtype(t.dtype());
  const detail::Reduction plan = detail::arrange("norm", t.to(inner), axes, keepdim);
  Tensor y = detail::dispatch_float(inner, [&]<class T>() {
               return singular ? nuclear_norms<T>(plan, rows_of(t, axes)) : ordered_norm<T>(plan, p);
             }).to(t.dtype());
  if (singular || (p != 1 && p != 2)) return op.result(std::move(y), {t});
  return op.with_grad(y, {t}, [&] {
    return [x = Saved(t), value = Saved(y), keep = plan.keep, p](const Tensor& dy) {
      const Tensor g = dy.reshape(keep);
      const Tensor zero = Tensor::of(0).to(dy.dtype());
      if (p == 1) {
        const Tensor sign = gt(x(), zero).to(dy.dtype()) - lt(x(), zero).to(dy.dtype());
        return GradList{sign * g};
      }
      const Tensor length = value().reshape(keep);
      return GradList{where(eq(length, zero), zero, x() / length * g)};  // 0 at the origin, as torch
    };
  });
}

}  // namespace coppice
