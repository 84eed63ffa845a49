#pragma once
/// Shape of a tensor and the broadcasting rule.

#include "coppice/engine/cxx20.h"

#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <span>
#include <string>
#include <vector>

namespace coppice {

/// Sizes of the axes, outermost first. Rank 0 is a scalar; a size of 0 makes the tensor empty.
class Shape {
 public:
  Shape() = default;
  /// @throws ValueError  if a size is negative or the product overflows 2^63 - 1
  Shape(std::initializer_list<std::int64_t> sizes) : Shape(std::vector<std::int64_t>(sizes)) {}
  explicit Shape(std::vector<std::int64_t> sizes);
  explicit Shape(std::span<const std::int64_t> sizes) : Shape(std::vector<std::int64_t>(sizes.begin(), sizes.end())) {}

  [[nodiscard]] std::int64_t rank() const { return static_cast<std::int64_t>(sizes_.size()); }
  /// Number of elements; 1 for a scalar.
  [[nodiscard]] std::int64_t numel() const { return numel_; }
  /// Size of `axis`; negative axes count from the end. @throws IndexError
  [[nodiscard]] std::int64_t operator[](std::int64_t axis) const;
  [[nodiscard]] std::span<const std::int64_t> sizes() const { return sizes_; }
  [[nodiscard]] auto begin() const { return sizes_.begin(); }
  [[nodiscard]] auto end() const { return sizes_.end(); }

  friend bool operator==(const Shape& a, const Shape& b) { return a.sizes_ == b.sizes_; }

 private:
  std::vector<std::int64_t> sizes_;
  std::int64_t numel_ = 1;
};

/// "(2, 3)"; "()" for a scalar; "(3,)" for one axis, as Python prints a tuple.
[[nodiscard]] std::string to_string(const Shape& shape);
std::ostream& operator<<(std::ostream& out, const Shape& shape);

/// `axis` counted from the front. A scalar takes -1 and 0. @throws IndexError naming `op`, the axis and the rank
[[nodiscard]] std::int64_t resolve_axis(const char* op, std::int64_t axis, std::int64_t rank);

/// Shape of an element-wise result: aligned at the last axis, equal sizes or 1. @throws ShapeError naming `op`
[[nodiscard]] Shape broadcast(const char* op, const Shape& a, const Shape& b);

/// Row-major strides in elements.
[[nodiscard]] std::vector<std::int64_t> strides_of(const Shape& shape);

}  // namespace coppice
