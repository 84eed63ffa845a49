#include "coppice/engine/ops/embedding.h"

#include <algorithm>
#include <memory>
#include <span>

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/shape_ops.h"
#include "ops/map.h"

namespace coppice {
namespace {

using Index = std::vector<std::int64_t>;

/// Lets values through; rows of the gradient that belong to `row` become 0.
Tensor without_gradient_of(const Tensor& rows, const Index& index, std::int64_t row) {
  return with_grad(rows.detach(), {rows}, [index, row](const Tensor& dy) {
    Tensor dx = dy.clone();
    for (std::size_t i = 0; i < index.size(); ++i)
      if (index[i] == row) narrow(dx, 0, static_cast<std::int64_t>(i), 1).fill_(0);
    return GradList{dx};
  });
}

/// Rows of the weight, bag after bag: entries starts[b] .. starts[b + 1] - 1 belong to bag b.
struct Bags {
  Index rows;
  Index starts;  // of each bag, and the end
  [[nodiscard]] std::int64_t count() const { return static_cast<std::int64_t>(starts.size()) - 1; }
  [[nodiscard]] std::span<const std::int64_t> bag(std::int64_t b) const {
    const auto from = static_cast<std::size_t>(starts[static_cast<std::size_t>(b)]);
    return std::span(rows).subspan(from, static_cast<std::size_t>(starts[static_cast<std::size_t>(b) + 1]) - from);
  }
};

Index integers_of(const char* what, const Tensor& t) {
  if (is_floating(t.dtype()) || t.dtype() == Dtype::boolean)
    throw DtypeError(cat("[embedding_bag] ", what, " must hold integers; got ", t.dtype()));
  return t.to_vector<std::int64_t>();
}

Bags checked_bags(const Tensor& weight, const Tensor& index, const Tensor& offsets,
                  std::optional<std::int64_t> padding_idx) {
  if (weight.dim() != 2 || index.dim() != 1 || offsets.dim() != 1)
    throw ShapeError(cat("[embedding_bag] needs weight: [n, d], index: [k], offsets: [bags]; got ", weight.shape(),
                         ", ", index.shape(), " and ", offsets.shape()));
  if (!is_floating(weight.dtype()))
    throw DtypeError(cat("[embedding_bag] weight must be floating; got ", weight.dtype()));
  const Index wanted = integers_of("index", index);
  Index starts = integers_of("offsets", offsets);
  const std::int64_t k = index.numel();
  if (starts.empty() ? k > 0 : starts[0] != 0) throw ValueError("[embedding_bag] the first offset must be 0");
  starts.push_back(k);
  for (std::size_t b = 1; b < starts.size(); ++b)
    if (starts[b] < starts[b - 1] || starts[b] > k)
      throw ValueError(
          cat("[embedding_bag] offsets must not decrease nor exceed ", k, "; got ", starts[b - 1], " and ", starts[b]));
  Bags out;
  for (std::size_t b = 0, i = 0; b < starts.size(); ++b) {
    for (; i < static_cast<std::size_t>(starts[b]); ++i) {
      if (wanted[i] < 0 || wanted[i] >= weight.size(0))
        throw IndexError(cat("[embedding_bag] index ", wanted[i], " at position ", i, " is outside the ",
                             weight.size(0), " rows of weight ", weight.shape()));
      if (!padding_idx || wanted[i] != *padding_idx) out.rows.push_back(wanted[i]);
    }
    out.starts.push_back(static_cast<std::int64_t>(out.rows.size()));
  }
  return out;
}

/// f(bag) for all bags, several in a task.
template <class F>
void each_bag(const Bags& bags, std::int64_t width, F f) {
  const std::int64_t work =
      width * (1 + static_cast<std::int64_t>(bags.rows.size()) / std::max<std::int64_t>(1, bags.count()));
  parallel_for(bags.count(), 1 + (1 << 15) / (work + 1), [&](Rows range) {
    for (std::int64_t b = range.begin; b < range.end; ++b) f(b);
  });
}

/// What sum() over the rows of each bag gives: added up in double. An empty bag gives 0.
template <class T>
void sums_of(const Bags& bags, const T* weight, std::int64_t width, T* y) {
  each_bag(bags, width, [&](std::int64_t b) {
    std::vector<double> total(static_cast<std::size_t>(width));
    for (const std::int64_t row : bags.bag(b))
      for (std::int64_t j = 0; j < width; ++j)
        total[static_cast<std::size_t>(j)] += static_cast<double>(weight[row * width + j]);
    for (std::int64_t j = 0; j < width; ++j) y[b * width + j] = static_cast<T>(total[static_cast<std::size_t>(j)]);
  });
}

/// The largest of each column, NaN before all numbers. An empty bag gives 0.
template <class T>
void maxima_of(const Bags& bags, const T* weight, std::int64_t width, T* y) {
  each_bag(bags, width, [&](std::int64_t b) {
    T* best = y + b * width;
    const auto rows = bags.bag(b);
    for (std::int64_t j = 0; j < width; ++j) best[j] = rows.empty() ? T{} : weight[rows[0] * width + j];
    for (const std::int64_t row : rows)
      for (std::int64_t j = 0; j < width; ++j) {
        const T v = weight[row * width + j];
        if (v > best[j] || v != v) best[j] = v;
      }
  });
}

/// The share of every entry in the gradient of its bag's maximum, [entries, width]: an equal part to those that attain
/// it. Sums and means need no table.
template <class T>
std::vector<T> shares_of(const Bags& bags, const T* weight, std::int64_t width, const T* y) {
  std::vector<T> share(bags.rows.size() * static_cast<std::size_t>(width));
  each_bag(bags, width, [&](std::int64_t b) {
    const auto rows = bags.bag(b);
    T* first = share.data() + bags.starts[static_cast<std::size_t>(b)] * width;
    for (std::int64_t j = 0; j < width; ++j) {
      T hits = 0;
      for (const std::int64_t row : rows) hits += weight[row * width + j] == y[b * width + j] ? T(1) : T(0);
      for (std::size_t i = 0; i < rows.size(); ++i)
        first[static_cast<std::int64_t>(i) * width + j] =
            (weight[rows[i] * width + j] == y[b * width + j] ? T(1) : T(0)) / hits;
    }
  });
  return share;
}

}  // namespace

Tensor embedding(const Tensor& weight, const Tensor& index, std::optional<std::int64_t> padding_idx) {
  if (weight.dim() != 2) throw ShapeError(cat("[embedding] weight must be [n, d]; got ", weight.shape()));
  Tensor rows = index_select(weight, 0, index.reshape(Shape{index.numel()}));
  if (padding_idx && needs_grad({weight}))
    rows = without_gradient_of(rows, index.to_vector<std::int64_t>(), *padding_idx);
  std::vector<std::int64_t> sizes(index.shape().begin(), index.shape().end());
  sizes.push_back(weight.size(1));
  return rows.reshape(Shape(std::move(sizes)));
}

Tensor embedding_bag(const Tensor& weight, const Tensor& index, const Tensor& offsets, BagMode mode,
                     std::optional<std::int64_t> padding_idx) {
  const auto bags = std::make_shared<const Bags>(checked_bags(weight, index, offsets, padding_idx));
  const Dtype inner = detail::compute_dtype(weight.dtype());
  const std::int64_t width = weight.size(1);
  const bool keep = needs_grad({weight});
  return detail::dispatch_float(inner, [&]<class T>() {
    const Tensor table = weight.detach().to(inner);
    Tensor y = Tensor::empty({bags->count(), width}, inner);
    const T* from = table.data<T>().data();
    T* to = y.mutable_data<T>().data();
    std::vector<T> share;  // of a maximum
    if (mode == BagMode::max) {
      maxima_of(*bags, from, width, to);
      if (keep) share = shares_of(*bags, from, width, static_cast<const T*>(to));
    } else {
      sums_of(*bags, from, width, to);
    }
    const auto part = [mode](std::size_t n) { return mode == BagMode::mean ? T(1 / static_cast<double>(n)) : T(1); };
    y = y.to(weight.dtype());
    if (mode == BagMode::mean) {  // a second step, rounded like mean()
      y = y.to(inner);
      T* means = y.mutable_data<T>().data();
      for (std::int64_t b = 0; b < bags->count(); ++b)
        if (const std::size_t n = bags->bag(b).size(); n > 0)
          for (std::int64_t j = 0; j < width; ++j) means[b * width + j] *= part(n);
      y = y.to(weight.dtype());
    }
    if (!keep) return y;
    return with_grad(
        y, {weight}, [bags, part, inner, share = std::move(share), shape = weight.shape()](const Tensor& dy) {
          Tensor dx = zeros(shape, inner);
          const Tensor gradient = dy.to(inner);
          const T* g = gradient.data<T>().data();
          T* to = dx.mutable_data<T>().data();
          const std::int64_t width = shape[1];
          for (std::int64_t b = bags->count() - 1; b >= 0; --b) {  // as backward walks: the newest first
            const auto rows = bags->bag(b);
            const T* shares = share.data() + (share.empty() ? 0 : bags->starts[static_cast<std::size_t>(b)] * width);
            for (std::size_t i = 0; i < rows.size(); ++i)
              for (std::int64_t j = 0; j < width; ++j) {
                const T each = share.empty() ? part(rows.size()) : shares[static_cast<std::int64_t>(i) * width + j];
                to[rows[i] * width + j] += each * g[b * width + j];
              }
          }
          return GradList{dx.to(dy.dtype())};
        });
  });
}

}  // namespace coppice
