#pragma once
/// Samples with classes, and what a model makes of them.

#include <cstdint>
#include <optional>
#include <vector>

#include "coppice/engine/tensor.h"
#include "coppice/nn/module.h"

namespace coppice::sparsity {

/// x: [n, ...], y: [n] classes of any integer type (make_dataset makes them int64).
struct Dataset {
  Tensor x;
  Tensor y;
  [[nodiscard]] std::int64_t size() const { return x.size(0); }
  /// Samples `rows`, in that order.
  [[nodiscard]] Dataset subset(const std::vector<std::int64_t>& rows) const;
};

/// @throws ShapeError  unless x: [n, ...] and y: [n]; DtypeError  unless x floats and y holds integers
[[nodiscard]] Dataset make_dataset(const Tensor& x, const Tensor& y);

/// @param y  [n] of integers; floating numbers are no classes, and not looked at
/// @throws IndexError  naming the first sample, by its place in y, whose class is not in 0 .. classes - 1
void check_classes(const Tensor& y, std::int64_t classes);

/// The first sample, by its place along the first axis, that holds NaN; nothing for integers.
[[nodiscard]] std::optional<std::int64_t> first_nan(const Tensor& x);

struct Evaluation {
  std::int64_t correct = 0;  ///< samples whose largest output is their class; a tie goes to the lower class
  std::int64_t count = 0;
  double loss = 0;  ///< mean cross-entropy
  [[nodiscard]] double accuracy() const {
    return count == 0 ? 0 : static_cast<double>(correct) / static_cast<double>(count);
  }
};

/// Rows of logits [n, classes] whose largest entry is the class in y [n] of int64; a tie goes to the lower class.
/// @throws ShapeError  unless they fit
[[nodiscard]] std::int64_t count_correct(const Tensor& logits, const Tensor& y);

/// Runs the model in eval mode (its mode is restored) over all samples, `batch` at a time, without gradients.
/// @throws ValueError  for a batch below 1; ShapeError  if the outputs are not [n, classes]; IndexError  for a class
///         that the model does not have, as check_classes()
[[nodiscard]] Evaluation evaluate(nn::Module& model, const Dataset& data, std::int64_t batch = 256);
/// The same for a model that may not change, by several threads at once if need be. One that is not in eval mode as a
/// whole is run as a clone that is.
[[nodiscard]] Evaluation evaluate(const nn::Module& model, const Dataset& data, std::int64_t batch = 256);

}  // namespace coppice::sparsity
