#include "coppice/engine/shape.h"

#include <algorithm>
#include <ostream>

#include "coppice/engine/error.h"

namespace coppice {

Shape::Shape(std::vector<std::int64_t> sizes) : sizes_(std::move(sizes)) {
  bool empty = false;
  for (const std::int64_t size : sizes_) {
    if (size < 0) throw ValueError(cat("[Shape] sizes must be at least 0; got ", size));
    empty = empty || size == 0;
  }
  // The product is checked over the non-zero sizes too: a huge shape is wrong even when one axis is empty.
  for (const std::int64_t size : sizes_)
    if (size != 0 && __builtin_mul_overflow(numel_, size, &numel_))
      throw ValueError("[Shape] the number of elements exceeds 2^63 - 1");
  if (empty) numel_ = 0;
}

std::int64_t Shape::operator[](std::int64_t axis) const {
  const std::int64_t i = axis < 0 ? axis + rank() : axis;
  if (i < 0 || i >= rank())
    throw IndexError(cat("[Shape] axis ", axis, " does not exist in ", *this, " of rank ", rank()));
  return sizes_[static_cast<std::size_t>(i)];
}

std::string to_string(const Shape& shape) {
  std::string out = "(";
  for (std::int64_t i = 0; i < shape.rank(); ++i) {
    if (i > 0) out += ", ";
    detail::append(out, shape[i]);
  }
  return out += shape.rank() == 1 ? ",)" : ")";
}

std::ostream& operator<<(std::ostream& out, const Shape& shape) { return out << to_string(shape); }

std::int64_t resolve_axis(const char* op, std::int64_t axis, std::int64_t rank) {
  const std::int64_t span = std::max<std::int64_t>(rank, 1);
  if (axis < -span || axis >= span)
    throw IndexError(cat("[", op, "] axis must be in ", -span, "..", span - 1, "; got ", axis));
  return axis < 0 ? axis + span : axis;
}

Shape broadcast(const char* op, const Shape& a, const Shape& b) {
  if (a == b) return a;
  const std::int64_t rank = std::max(a.rank(), b.rank());
  std::vector<std::int64_t> out(static_cast<std::size_t>(rank));
  for (std::int64_t back = 1; back <= rank; ++back) {
    const std::int64_t x = back <= a.rank() ? a[-back] : 1;
    const std::int64_t y = back <= b.rank() ? b[-back] : 1;
    if (x != y && x != 1 && y != 1)
      throw ShapeError(
          cat("[", op, "] shapes ", a, " and ", b, " do not broadcast: sizes ", x, " and ", y, " at axis -", back));
    out[static_cast<std::size_t>(rank - back)] = x == 1 ? y : x;
  }
  return Shape(std::move(out));
}

std::vector<std::int64_t> strides_of(const Shape& shape) {
  std::vector<std::int64_t> strides(static_cast<std::size_t>(shape.rank()), 1);
  for (std::int64_t i = shape.rank() - 2; i >= 0; --i)
    strides[static_cast<std::size_t>(i)] = strides[static_cast<std::size_t>(i + 1)] * shape[i + 1];
  return strides;
}

}  // namespace coppice
