#include "coppice/engine/ops/shape_ops.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "broadcast.h"
#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "ops/map.h"

namespace coppice {
namespace {

/// A shape seen from one axis: `outer` blocks of `size` rows of `row` bytes.
struct AxisView {
  std::int64_t outer = 1;
  std::int64_t size = 1;
  std::size_t row = 1;
  AxisView(const Tensor& t, std::int64_t axis) : size(t.size(axis)), row(itemsize(t.dtype())) {
    for (std::int64_t i = 0; i < axis; ++i) outer *= t.size(i);
    for (std::int64_t i = axis + 1; i < t.dim(); ++i) row *= static_cast<std::size_t>(t.size(i));
  }
};

Shape with_size(const Shape& shape, std::int64_t axis, std::int64_t size) {
  std::vector<std::int64_t> sizes(shape.begin(), shape.end());
  sizes[static_cast<std::size_t>(axis)] = size;
  return Shape(std::move(sizes));
}

/// Rows [from, from + count) of each block of `source` to rows starting at `to` of `target`.
void copy_rows(const Tensor& source, std::int64_t from, Tensor& target, std::int64_t to, std::int64_t count,
               std::int64_t axis) {
  const AxisView s(source, axis);
  const AxisView d(target, axis);
  const std::byte* p = source.bytes();
  std::byte* q = target.mutable_bytes();
  if (s.row == 0 || count == 0) return;
  for (std::int64_t o = 0; o < s.outer; ++o)
    std::memcpy(q + static_cast<std::size_t>(o * d.size + to) * d.row,
                p + static_cast<std::size_t>(o * s.size + from) * s.row, static_cast<std::size_t>(count) * s.row);
}

std::int64_t existing_axis(const char* op, const Tensor& t, std::int64_t axis) {
  if (t.dim() == 0) throw IndexError(cat("[", op, "] a scalar has no axes"));
  return resolve_axis(op, axis, t.dim());
}

}  // namespace

Tensor permute(const Tensor& t, const std::vector<std::int64_t>& axes) {
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
  return with_grad(permuted(t, order), {t}, [back](const Tensor& dy) { return GradList{permuted(dy, back)}; });
}

Tensor transpose(const Tensor& t, std::int64_t a, std::int64_t b) {
  std::vector<std::int64_t> axes(static_cast<std::size_t>(t.dim()));
  std::iota(axes.begin(), axes.end(), 0);
  std::swap(axes[static_cast<std::size_t>(existing_axis("transpose", t, a))],
            axes[static_cast<std::size_t>(existing_axis("transpose", t, b))]);
  return permute(t, axes);
}

Tensor flatten(const Tensor& t, std::int64_t first, std::int64_t last) {
  if (t.dim() == 0) return t.reshape(Shape{1});
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
  return t.reshape(Shape(std::move(sizes)));
}

Tensor narrow(const Tensor& t, std::int64_t axis, std::int64_t start, std::int64_t length) {
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
  return with_grad(y, {t}, [axis, start, length, full = t.shape()](const Tensor& dy) {
    Tensor dx = zeros(full, dy.dtype());
    copy_rows(dy, 0, dx, start, length, axis);
    return GradList{dx};
  });
}

Tensor select(const Tensor& t, std::int64_t axis, std::int64_t index) {
  axis = existing_axis("select", t, axis);
  const std::int64_t i = index < 0 ? index + t.size(axis) : index;
  if (i < 0 || i >= t.size(axis))
    throw IndexError(cat("[select] index ", index, " is outside axis ", axis, " of ", t.shape()));
  std::vector<std::int64_t> sizes(t.shape().begin(), t.shape().end());
  sizes.erase(sizes.begin() + axis);
  return narrow(t, axis, i, 1).reshape(Shape(std::move(sizes)));
}

Tensor index_select(const Tensor& t, std::int64_t axis, const Tensor& index) {
  axis = existing_axis("index_select", t, axis);
  if (is_floating(index.dtype()) || index.dtype() == Dtype::boolean)
    throw DtypeError(cat("[index_select] the index must hold integers; got ", index.dtype()));
  if (index.dim() > 1) throw ShapeError(cat("[index_select] the index must be [n]; got ", index.shape()));
  const auto rows = index.to_vector<std::int64_t>();
  for (const std::int64_t row : rows)
    if (row < 0 || row >= t.size(axis))
      throw IndexError(cat("[index_select] index ", row, " is outside axis ", axis, " of ", t.shape()));
  Tensor y = Tensor::empty(with_size(t.shape(), axis, static_cast<std::int64_t>(rows.size())), t.dtype());
  const AxisView s(t, axis);
  std::byte* q = y.mutable_bytes();
  for (std::int64_t o = 0; o < s.outer && s.row > 0; ++o)
    for (const std::int64_t row : rows) {
      std::memcpy(q, t.bytes() + static_cast<std::size_t>(o * s.size + row) * s.row, s.row);
      q += s.row;
    }
  return with_grad(y, {t}, [axis, rows, full = t.shape()](const Tensor& dy) {
    const Dtype inner = detail::compute_dtype(dy.dtype());
    Tensor dx = zeros(full, inner);
    const Tensor g = dy.to(inner);
    const AxisView d(dx, axis);
    const auto n = static_cast<std::int64_t>(d.row / itemsize(inner));
    detail::dispatch_float(inner, [&]<class T>() {
      const T* from = g.data<T>().data();
      T* to = dx.mutable_data<T>().data();
      for (std::int64_t o = 0; o < d.outer; ++o)
        for (const std::int64_t row : rows) {  // repeats add up
          T* target = to + (o * d.size + row) * n;
          for (std::int64_t i = 0; i < n; ++i) target[i] += from[i];
          from += n;
        }
    });
    return GradList{dx.to(dy.dtype())};
  });
}

Tensor cat_tensors(const TensorList& parts, std::int64_t axis) {
  if (parts.empty()) throw ValueError("[cat] there is nothing to join");
  axis = existing_axis("cat", parts[0], axis);
  std::int64_t total = 0;
  Dtype dtype = parts[0].dtype();
  for (const Tensor& part : parts) {
    if (part.dim() != parts[0].dim() || with_size(part.shape(), axis, 0) != with_size(parts[0].shape(), axis, 0))
      throw ShapeError(cat("[cat] ", part.shape(), " and ", parts[0].shape(), " differ beside axis ", axis));
    total += part.size(axis);
    dtype = promote(dtype, part.dtype());
  }
  Tensor y = Tensor::empty(with_size(parts[0].shape(), axis, total), dtype);
  std::vector<std::int64_t> sizes;
  std::vector<Dtype> dtypes;
  std::int64_t at = 0;
  for (const Tensor& part : parts) {
    copy_rows(part.detach().to(dtype), 0, y, at, part.size(axis), axis);
    at += part.size(axis);
    sizes.push_back(part.size(axis));
    dtypes.push_back(part.dtype());
  }
  return with_grad(y, parts, [axis, sizes, dtypes](const Tensor& dy) {
    GradList gradients = split(dy, sizes, axis);
    for (std::size_t i = 0; i < gradients.size(); ++i)
      gradients[i] = is_floating(dtypes[i]) ? gradients[i].to(dtypes[i]) : Tensor();
    return gradients;
  });
}

Tensor stack(const TensorList& parts, std::int64_t axis) {
  if (parts.empty()) throw ValueError("[stack] there is nothing to stack");
  axis = resolve_axis("stack", axis, parts[0].dim() + 1);
  TensorList raised;
  for (const Tensor& part : parts) {
    if (part.shape() != parts[0].shape())
      throw ShapeError(cat("[stack] shapes ", part.shape(), " and ", parts[0].shape(), " differ"));
    std::vector<std::int64_t> sizes(part.shape().begin(), part.shape().end());
    sizes.insert(sizes.begin() + axis, 1);
    raised.push_back(part.reshape(Shape(std::move(sizes))));
  }
  return cat_tensors(raised, axis);
}

TensorList split(const Tensor& t, const std::vector<std::int64_t>& sizes, std::int64_t axis) {
  axis = existing_axis("split", t, axis);
  if (std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0}) != t.size(axis))
    throw ShapeError(cat("[split] the sizes do not add up to ", t.size(axis), ", axis ", axis, " of ", t.shape()));
  TensorList parts;
  std::int64_t at = 0;
  for (const std::int64_t size : sizes) {
    parts.push_back(narrow(t, axis, at, size));
    at += size;
  }
  return parts;
}

TensorList split(const Tensor& t, std::int64_t size, std::int64_t axis) {
  axis = existing_axis("split", t, axis);
  if (size < 1) throw ValueError(cat("[split] size must be at least 1; got ", size));
  std::vector<std::int64_t> sizes;
  for (std::int64_t left = t.size(axis); left > 0; left -= size) sizes.push_back(std::min(size, left));
  if (sizes.empty()) sizes.push_back(0);
  return split(t, sizes, axis);
}

}  // namespace coppice
