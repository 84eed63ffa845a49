#pragma once
/// Define-by-run differentiation: how an operation attaches its gradient, and how gradients are stopped.

#include <functional>
#include <initializer_list>
#include <memory>
#include <vector>

#include "coppice/engine/tensor.h"

namespace coppice {

/// Gradients of an operation's inputs, in their order; an undefined tensor stands for "none".
using GradList = std::vector<Tensor>;

/// While one lives, results of this thread's operations do not require grad. Nests.
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool before_;
};

/// The reverse of NoGrad, for the time it lives.
class EnableGrad {
 public:
  EnableGrad();
  ~EnableGrad();
  EnableGrad(const EnableGrad&) = delete;
  EnableGrad& operator=(const EnableGrad&) = delete;

 private:
  bool before_;
};

[[nodiscard]] bool grad_enabled();
/// Grad mode is on and one of them requires grad: an operation may skip its preparations otherwise.
[[nodiscard]] bool needs_grad(std::initializer_list<std::reference_wrapper<const Tensor>> inputs);

/// A value that backward needs, held outside the graph (no cycle), with the version it had in the forward pass.
class Saved {
 public:
  Saved() = default;
  explicit Saved(const Tensor& tensor);
  /// The tensor. @throws StateError  if its storage was written since
  [[nodiscard]] const Tensor& operator()() const;

 private:
  Tensor tensor_;
  std::uint64_t version_ = 0;
};

/// Makes `y` the result of a differentiable operation on `inputs`.
///
/// @param y         result, freshly made by the operation; defined
/// @param inputs    tensors that may receive gradients, undefined ones allowed
/// @param backward  gradient of `y` -> gradients of `inputs` in order, each of its input's shape and type. It runs
///                  with grad mode off, and must hold every tensor that the caller can reach as Saved, its
///                  conditions, indices and results (never `y` itself, but Saved(y)) included.
/// @return          `y`; unchanged if grad mode is off or no input requires grad
[[nodiscard]] Tensor with_grad(Tensor y, TensorList inputs, std::function<GradList(const Tensor&)> backward);

/// The same for an operation with several results; an unused result's gradient arrives undefined.
[[nodiscard]] TensorList with_grad(TensorList ys, TensorList inputs, std::function<GradList(const GradList&)> backward);

}  // namespace coppice
