#pragma once
/// Softmax and the losses built on it, as torch.nn.functional has them. Softmax takes two passes over each line.

#include "coppice/engine/tensor.h"

namespace coppice {

enum class Reduction { none, mean, sum };

/// exp(x) / Σ exp(x) along `axis`, shifted by the maximum. @throws IndexError, DtypeError
[[nodiscard]] Tensor softmax(const Tensor& x, std::int64_t axis = -1);
/// log(softmax(x)), computed without the quotient. @throws IndexError, DtypeError
[[nodiscard]] Tensor log_softmax(const Tensor& x, std::int64_t axis = -1);
/// -log_softmax(logits)[target]. logits: [n, classes], target: [n] class indices of any integer type.
/// Result: [n] for none, else a scalar; the mean of nothing is NaN, as in PyTorch.
/// @throws ShapeError; DtypeError  for a target of truth values or floats; IndexError  if a class is outside 0 ..
/// classes - 1
[[nodiscard]] Tensor cross_entropy(const Tensor& logits, const Tensor& target, Reduction reduction = Reduction::mean);
/// (input - target)². @throws ShapeError  unless the shapes are equal
[[nodiscard]] Tensor mse_loss(const Tensor& input, const Tensor& target, Reduction reduction = Reduction::mean);

}  // namespace coppice
