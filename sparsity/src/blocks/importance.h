#pragma once

#include "coppice/engine/tensor.h"
#include "kernels/block_table.h"

namespace coppice::sparsity {

/// How important each entry of a tensor is, computed piece by piece, so that no tensor of that size has to be made.
/// Entries are numbered as in the 2-D view [first axis, all others].
class Importance {
 public:
  using Of = kernels::Norm;

  /// @param mask  shape of `values`, a factor of each entry; none if undefined. One of ones is not looked at again.
  /// @throws ShapeError  if `values` has fewer than 2 axes
  Importance(Tensor values, Tensor mask, Of of);

  [[nodiscard]] std::int64_t rows() const { return values_.size(0); }
  [[nodiscard]] std::int64_t cols() const { return cols_; }
  /// Whether scores are doubles, as those of float64 and of integers; else they are floats.
  [[nodiscard]] bool in_double() const;
  [[nodiscard]] Of of() const { return of_; }
  /// No score is negative.
  [[nodiscard]] bool is_magnitude() const { return of_ != Of::value; }

  /// Entries first, first + 1, …, each step rounded to the type of the values as PyTorch's operations round.
  template <class Real>
  void read(std::int64_t first, std::span<Real> out) const;
  /// Adds entries first .. first + n, as read() gives them, to the sums of the blocks of `width` entries that they fall
  /// in, if that needs no copy of them; else does nothing and returns false.
  bool add(std::int64_t first, std::int64_t n, std::int64_t width, float* sums) const;
  /// Fetches what read() of these will need into the cache.
  void prefetch(std::int64_t first, std::int64_t n) const;
  /// Scores rounded to the type of the values.
  template <class Real>
  void round(std::span<Real> scores) const;
  /// The entries where they stand, if as floats they are what read() gives, but for the signs of magnitudes; or null.
  [[nodiscard]] const float* in_place() const;
  /// Whether a mask is read, and written masks may change what is read.
  [[nodiscard]] bool sees_mask() const { return mask_.defined(); }
  /// The same numbers, but the importance is their size.
  [[nodiscard]] Importance magnitudes() const;

 private:
  Tensor values_;
  Tensor mask_;
  Of of_;
  std::int64_t cols_;
};

}  // namespace coppice::sparsity
