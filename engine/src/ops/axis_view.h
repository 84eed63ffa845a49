#pragma once
// A tensor seen from one of its axes. Private to the engine.

#include <cstring>
#include <vector>

#include "coppice/engine/tensor.h"

namespace coppice::detail {

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

[[nodiscard]] inline Shape with_size(const Shape& shape, std::int64_t axis, std::int64_t size) {
  std::vector<std::int64_t> sizes(shape.begin(), shape.end());
  sizes[static_cast<std::size_t>(axis)] = size;
  return Shape(std::move(sizes));
}

/// Rows [from, from + count) of each block of `source` to rows starting at `to` of `target`.
inline void copy_rows(const Tensor& source, std::int64_t from, Tensor& target, std::int64_t to, std::int64_t count,
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

[[nodiscard]] inline std::int64_t existing_axis(const char* op, const Tensor& t, std::int64_t axis) {
  if (t.dim() == 0) throw IndexError(cat("[", op, "] a scalar has no axes"));
  return resolve_axis(op, axis, t.dim());
}

}  // namespace coppice::detail
