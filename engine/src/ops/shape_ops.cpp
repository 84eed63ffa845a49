#include "coppice/engine/ops/shape_ops.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "broadcast.h"
#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "ops/axis_view.h"
#include "ops/map.h"
#include "ops/op_rows.h"

namespace coppice {
namespace {

using detail::AxisView;
using detail::copy_rows;
using detail::existing_axis;
using detail::with_size;

constexpr AttributeRow kPermute[] = {{"dims", AttributeKind::integers}};
constexpr AttributeRow kTranspose[] = {{"dim0", AttributeKind::integer}, {"dim1", AttributeKind::integer}};
constexpr AttributeRow kFlatten[] = {{"start_dim", AttributeKind::integer, std::int64_t{0}},
                                     {"end_dim", AttributeKind::integer, std::int64_t{-1}}};
constexpr AttributeRow kNarrow[] = {
    {"dim", AttributeKind::integer}, {"start", AttributeKind::integer}, {"length", AttributeKind::integer}};
constexpr AttributeRow kSelect[] = {{"dim", AttributeKind::integer}, {"index", AttributeKind::integer}};
constexpr AttributeRow kAxis[] = {{"dim", AttributeKind::integer}};

// name, PyTorch, ONNX, inputs, attributes, flags, call
constexpr OpFlags kFlags = OpFlags::differentiable | OpFlags::zero_to_zero;
constexpr OpRow kTransposeRow = rows::row(
    "transpose", "torch.transpose", "Transpose", "input", kTranspose, kFlags,
    [](rows::In in, rows::With a) { return TensorList{transpose(in[0], a.integer("dim0"), a.integer("dim1"))}; });
constexpr OpRow kPermuteRow =
    rows::row("permute", "torch.permute", "Transpose", "input", kPermute, kFlags,
              [](rows::In in, rows::With a) { return TensorList{permute(in[0], a.integers("dims"))}; });
constexpr OpRow kFlattenRow = rows::row(
    "flatten", "torch.flatten", "Flatten|Reshape", "input", kFlatten, kFlags | OpFlags::shares_storage,
    [](rows::In in, rows::With a) { return TensorList{flatten(in[0], a.integer("start_dim"), a.integer("end_dim"))}; });
constexpr OpRow kNarrowRow =
    rows::row("narrow", "torch.narrow", "Slice", "input", kNarrow, kFlags, [](rows::In in, rows::With a) {
      return TensorList{narrow(in[0], a.integer("dim"), a.integer("start"), a.integer("length"))};
    });
constexpr OpRow kSelectRow = rows::row(
    "select", "torch.select", "Gather", "input", kSelect, kFlags,
    [](rows::In in, rows::With a) { return TensorList{select(in[0], a.integer("dim"), a.integer("index"))}; });
constexpr OpRow kIndexSelectRow =
    rows::row("index_select", "torch.index_select", "Gather", "input index", kAxis, kFlags,
              [](rows::In in, rows::With a) { return TensorList{index_select(in[0], a.integer("dim"), in[1])}; });

/// Adds the rows of the gradient to those that were selected; repeats add up.
Tensor add_rows(const Tensor& dy, const std::vector<std::int64_t>& rows, const Shape& shape, std::int64_t axis) {
  const Dtype inner = detail::compute_dtype(dy.dtype());
  Tensor dx = zeros(shape, inner);
  const Tensor g = dy.to(inner);
  const AxisView d(dx, axis);
  const auto n = static_cast<std::int64_t>(d.row / itemsize(inner));
  detail::dispatch_float(inner, [&]<class T>() {
    const T* from = g.data<T>().data();
    T* to = dx.mutable_data<T>().data();
    for (std::int64_t o = 0; o < d.outer; ++o)
      for (const std::int64_t row : rows) {
        T* target = to + (o * d.size + row) * n;
        for (std::int64_t i = 0; i < n; ++i) target[i] += from[i];
        from += n;
      }
  });
  return dx.to(dy.dtype());
}

/// The positions that `index` names on `axis` of `t`.
std::vector<std::int64_t> checked_index(const Tensor& t, std::int64_t axis, const Tensor& index) {
  if (is_floating(index.dtype()) || index.dtype() == Dtype::boolean)
    throw DtypeError(cat("[index_select] the index must hold integers; got ", index.dtype()));
  if (index.dim() > 1) throw ShapeError(cat("[index_select] the index must be [n]; got ", index.shape()));
  auto rows = index.to_vector<std::int64_t>();
  for (const std::int64_t row : rows)
    if (row < 0 || row >= t.size(axis))
      throw IndexError(cat("[index_select] index ", row, " is outside axis ", axis, " of ", t.shape()));
  return rows;
}

}  // namespace

rows::Rows rows::shape() {
  static constexpr const OpRow* kRows[] = {&kTransposeRow, &kPermuteRow, &kFlattenRow,
                                           &kNarrowRow,    &kSelectRow,  &kIndexSelectRow};
  return kRows;
}

Tensor permute(const Tensor& t, const std::vector<std::int64_t>& axes) {
  const Op op(kPermuteRow, [&axes](Arguments& a) { a.set("dims", axes); });
  std::vector<std::int64_t> order;
  for (const std::int64_t axis : axes) order.push_back(existing_axis("permute", t, axis));
  std::vector<std::int64_t> back(order.size(), -1);
  for (std::size_t i = 0; i < order.size(); ++i) {
    auto& slot = back[static_cast<std::size_t>(order[i]) % back.size()];
    if (slot != -1) throw ValueError(cat("[permute] axis ", order[i], " is named twice"));
    slot = static_cast<std::int64_t>(i);
  }
  if (static_cast<std::int64_t>(order.size()) != t.dim())
    throw ValueError(cat("[permute] ", order.size(), " axes for shape ", t.shape()));
  return op.with_grad(permuted(t, order), {t},
                      [&] { return [back](const Tensor& dy) { return GradList{permuted(dy, back)}; }; });
}

Tensor transpose(const Tensor& t, std::int64_t a, std::int64_t b) {
  const Op op(kTransposeRow, [a, b](Arguments& with) {
    with.set("dim0", a);
    with.set("dim1", b);
  });
  std::vector<std::int64_t> axes(static_cast<std::size_t>(t.dim()));
  std::iota(axes.begin(), axes.end(), 0);
  std::swap(axes[static_cast<std::size_t>(existing_axis("transpose", t, a))],
            axes[static_cast<std::size_t>(existing_axis("transpose", t, b))]);
  return op.result(permute(t, axes), {t});
}

Tensor flatten(const Tensor& t, std::int64_t first, std::int64_t last) {
  const Op op(kFlattenRow, [from = first, to = last](Arguments& a) {
    a.set("start_dim", from);
    a.set("end_dim", to);
  });
  if (t.dim() == 0) return op.result(t.reshape(Shape{1}), {t});
  first = resolve_axis("flatten", first, t.dim());
  last = resolve_axis("flatten", last, t.dim());
  if (first > last) throw ValueError(cat("[flatten] first axis ", first, " comes after last axis ", last));
  std::vector<std::int64_t> sizes;
  for (std::int64_t i = 0; i < t.dim(); ++i) {
    if (i > first && i <= last)
      sizes.back() *= t.size(i);
    else
      sizes.push_back(t.size(i));
  }
  return op.result(t.reshape(Shape(std::move(sizes))), {t});
}

Tensor narrow(const Tensor& t, std::int64_t axis, std::int64_t start, std::int64_t length) {
  const Op op(kNarrowRow, [=, given = axis](Arguments& a) {
    a.set("dim", given);
    a.set("start", start);
    a.set("length", length);
  });
  axis = existing_axis("narrow", t, axis);
  const std::int64_t size = t.size(axis);
  if (start < 0 || length < 0 || start > size - length)
    throw IndexError(
        cat("[narrow] ", length, " from ", start, " exceed size ", size, " of axis ", axis, " in ", t.shape()));
  const Shape shape = with_size(t.shape(), axis, length);
  Tensor y;
  if (axis == 0) {
    const std::size_t row = AxisView(t, 0).row;
    y = Tensor::over(t.storage(), t.storage_offset() + static_cast<std::size_t>(start) * row, shape, t.dtype());
  } else {
    y = Tensor::empty(shape, t.dtype());
    copy_rows(t, start, y, 0, length, axis);
  }
  return op.with_grad(std::move(y), {t}, [&] {
    return [axis, start, length, full = t.shape()](const Tensor& dy) {
      Tensor dx = zeros(full, dy.dtype());
      copy_rows(dy, 0, dx, start, length, axis);
      return GradList{dx};
    };
  });
}

Tensor select(const Tensor& t, std::int64_t axis, std::int64_t index) {
  const Op op(kSelectRow, [=, given = axis](Arguments& a) {
    a.set("dim", given);
    a.set("index", index);
  });
  axis = existing_axis("select", t, axis);
  const std::int64_t i = index < 0 ? index + t.size(axis) : index;
  if (i < 0 || i >= t.size(axis))
    throw IndexError(cat("[select] index ", index, " is outside axis ", axis, " of ", t.shape()));
  std::vector<std::int64_t> sizes(t.shape().begin(), t.shape().end());
  sizes.erase(sizes.begin() + axis);
  return op.result(narrow(t, axis, i, 1).reshape(Shape(std::move(sizes))), {t});
}

Tensor index_select(const Tensor& t, std::int64_t axis, const Tensor& index) {
  const Op op(kIndexSelectRow, [given = axis](Arguments& a) { a.set("dim", given); });
  axis = existing_axis("index_select", t, axis);
  const auto rows = checked_index(t, axis, index);
  Tensor y = Tensor::empty(with_size(t.shape(), axis, static_cast<std::int64_t>(rows.size())), t.dtype());
  const AxisView s(t, axis);
  std::byte* q = y.mutable_bytes();
  for (std::int64_t o = 0; o < s.outer && s.row > 0; ++o)
    for (const std::int64_t row : rows) {
      std::memcpy(q, t.bytes() + static_cast<std::size_t>(o * s.size + row) * s.row, s.row);
      q += s.row;
    }
  return op.with_grad(std::move(y), {t, index}, [&] {
    return [axis, rows, full = t.shape()](const Tensor& dy) {
      return GradList{add_rows(dy, rows, full, axis), Tensor()};
    };
  });
}

}  // namespace coppice
