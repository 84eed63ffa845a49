#pragma once

#include "coppice/engine/tensor.h"
#include "coppice/sparsity/sparsifier/group.h"

namespace coppice::sparsity {

/// How important each entry of a tensor is, computed row by row of its 2-D view [first axis, all others], so that no
/// tensor of that size has to be made.
class Importance {
 public:
  enum class Of { value, magnitude, square };

  /// @param mask  shape of `values`, a factor of each entry; none if undefined
  /// @throws ShapeError  if `values` has fewer than 2 axes
  Importance(Tensor values, Tensor mask, Of of);
  /// Of a group's tensor as its mask shows it, or of the dense one.
  Importance(const Group& group, bool dense, Of of);

  [[nodiscard]] std::int64_t rows() const { return values_.size(0); }
  [[nodiscard]] std::int64_t cols() const { return cols_; }
  /// Whether scores are doubles, as those of float64 and of integers; else they are floats.
  [[nodiscard]] bool in_double() const;
  /// No score is negative.
  [[nodiscard]] bool is_magnitude() const { return of_ != Of::value; }

  /// Row r, each step rounded to the type of the values as PyTorch's operations round.
  template <class Real>
  void row(std::int64_t r, std::span<Real> out) const;
  /// A score rounded to the type of the values.
  template <class Real>
  [[nodiscard]] Real rounded(Real score) const;

 private:
  Tensor values_;
  Tensor mask_;
  Of of_;
  std::int64_t cols_;
};

}  // namespace coppice::sparsity
