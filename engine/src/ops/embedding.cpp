#include "coppice/engine/ops/embedding.h"

#include <algorithm>
#include <array>
#include <memory>
#include <span>

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/shape_ops.h"
#include "ops/map.h"
#include "ops/op_rows.h"

namespace coppice {
namespace {

using Index = std::vector<std::int64_t>;

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

constexpr std::array<std::string_view, 3> kModes{"sum", "mean", "max"};

constexpr AttributeRow kEmbedding[] = {{"padding_idx", AttributeKind::integer, Absent{}}};
constexpr AttributeRow kBag[] = {{"mode", AttributeKind::text, "mean"},
                                 {"padding_idx", AttributeKind::integer, Absent{}}};
TensorList embedding_from(rows::In in, rows::With a) {
  return {embedding(in[0], in[1], rows::maybe_integer(a, "padding_idx"))};
}
TensorList bag_from(rows::In in, rows::With a) {
  return {embedding_bag(in[0], in[1], in[2], rows::word<BagMode>(a, "mode", kModes, "embedding_bag"),
                        rows::maybe_integer(a, "padding_idx"))};
}

// name, PyTorch, ONNX, inputs, attributes, flags, call. PyTorch's functions take the index first.
constexpr OpFlags kFlags = OpFlags::differentiable | OpFlags::zero_to_zero;
constexpr OpRow kEmbeddingRow = rows::row("embedding", "torch.nn.functional.embedding", "Gather", "weight index",
                                          kEmbedding, kFlags, embedding_from);
constexpr OpRow kBagRow =
    rows::row("embedding_bag", "torch.nn.functional.embedding_bag", "", "weight index offsets", kBag, kFlags, bag_from);

/// Lets values through; rows of the gradient that belong to `row` become 0. They are a part of embedding(), and named
/// after it.
Tensor without_gradient_of(const Tensor& rows, const Tensor& index, std::int64_t row) {
  const Op op(kEmbeddingRow, [row](Arguments& a) { a.set("padding_idx", row); });
  return op.with_grad(rows.detach(), {rows, index}, [&] {
    return [wanted = index.to_vector<std::int64_t>(), row](const Tensor& dy) {
      Tensor dx = dy.clone();
      for (std::size_t i = 0; i < wanted.size(); ++i)
        if (wanted[i] == row) narrow(dx, 0, static_cast<std::int64_t>(i), 1).fill_(0);
      return GradList{dx, Tensor()};
    };
  });
}

/// What an entry of a bag of `n` adds to it.
template <class T>
T part_of(BagMode mode, std::size_t n) {
  return mode == BagMode::mean ? T(1 / static_cast<double>(n)) : T(1);
}

/// Sums that become means: a second step, rounded like mean().
template <class T>
void divide(const Bags& bags, std::int64_t width, T* y) {
  for (std::int64_t b = 0; b < bags.count(); ++b)
    if (const std::size_t n = bags.bag(b).size(); n > 0)
      for (std::int64_t j = 0; j < width; ++j) y[b * width + j] *= part_of<T>(BagMode::mean, n);
}

/// Gradient of the table. `share` holds the parts of a maximum, and is empty for sums and means.
template <class T>
void spread_bags(const Bags& bags, BagMode mode, const std::vector<T>& share, std::int64_t width, const T* dy, T* dx) {
  for (std::int64_t b = bags.count() - 1; b >= 0; --b) {  // as backward walks: the newest first
    const auto rows = bags.bag(b);
    const T* shares = share.data() + (share.empty() ? 0 : bags.starts[static_cast<std::size_t>(b)] * width);
    for (std::size_t i = 0; i < rows.size(); ++i)
      for (std::int64_t j = 0; j < width; ++j) {
        const T each = share.empty() ? part_of<T>(mode, rows.size()) : shares[static_cast<std::int64_t>(i) * width + j];
        dx[rows[i] * width + j] += each * dy[b * width + j];
      }
  }
}

/// Sums, means or maxima of the bags of `table`, in its type.
template <class T>
Tensor reduced(const Bags& bags, BagMode mode, const Tensor& table, Dtype rounded) {
  const std::int64_t width = table.size(1);
  Tensor y = Tensor::empty({bags.count(), width}, table.dtype());
  if (mode == BagMode::max) {
    maxima_of(bags, table.data<T>().data(), width, y.mutable_data<T>().data());
    return y;
  }
  sums_of(bags, table.data<T>().data(), width, y.mutable_data<T>().data());
  if (mode == BagMode::sum) return y;
  Tensor means = y.to(rounded).to(table.dtype());
  divide(bags, width, means.mutable_data<T>().data());
  return means;
}

}  // namespace

rows::Rows rows::embedding() {
  static constexpr const OpRow* kRows[] = {&kEmbeddingRow, &kBagRow};
  return kRows;
}

Tensor embedding(const Tensor& weight, const Tensor& index, std::optional<std::int64_t> padding_idx) {
  const Op op(kEmbeddingRow, [padding_idx](Arguments& a) {
    if (padding_idx) a.set("padding_idx", *padding_idx);
  });
  if (weight.dim() != 2) throw ShapeError(cat("[embedding] weight must be [n, d]; got ", weight.shape()));
  Tensor rows = index_select(weight, 0, index.reshape(Shape{index.numel()}));
  if (padding_idx) rows = without_gradient_of(rows, index, *padding_idx);
  std::vector<std::int64_t> sizes(index.shape().begin(), index.shape().end());
  sizes.push_back(weight.size(1));
  return op.result(rows.reshape(Shape(std::move(sizes))), {weight, index});
}

Tensor embedding_bag(const Tensor& weight, const Tensor& index, const Tensor& offsets, BagMode mode,
                     std::optional<std::int64_t> padding_idx) {
  const Op op(kBagRow, [=](Arguments& a) {
    a.set("mode", std::string(kModes[static_cast<std::size_t>(mode)]));
    if (padding_idx) a.set("padding_idx", *padding_idx);
  });
  const auto bags = std::make_shared<const Bags>(checked_bags(weight, index, offsets, padding_idx));
  const Dtype inner = detail::compute_dtype(weight.dtype());
  return detail::dispatch_float(inner, [&]<class T>() {
    const Tensor table = weight.detach().to(inner);
    const Tensor y = reduced<T>(*bags, mode, table, weight.dtype());
    return op.with_grad(y.to(weight.dtype()), {weight, index, offsets}, [&] {
      std::vector<T> share;  // of a maximum
      if (mode == BagMode::max) share = shares_of(*bags, table.data<T>().data(), table.size(1), y.data<T>().data());
      return [bags, mode, inner, shape = weight.shape(), share = std::move(share)](const Tensor& dy) {
        Tensor dx = zeros(shape, inner);
        const Tensor g = dy.to(inner);
        spread_bags(*bags, mode, share, shape[1], g.data<T>().data(), dx.mutable_data<T>().data());
        return GradList{dx.to(dy.dtype()), Tensor(), Tensor()};
      };
    });
  });
}

}  // namespace coppice
