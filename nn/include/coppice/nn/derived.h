#pragma once
/// Tensors that a module computes on reading: what masks and parametrizations are made of.

#include <memory>
#include <string_view>

#include "coppice/engine/tensor.h"

namespace coppice::nn {

class Module;

/// A tensor that a module computes from its other tensors whenever it is read, such as mask * weight_orig.
class Derived {
 public:
  virtual ~Derived() = default;
  /// The value now; differentiable with respect to the tensors it reads. Called by several threads at once.
  [[nodiscard]] virtual Tensor value(const Module& owner) const = 0;
  /// An independent object for a copy of the module.
  [[nodiscard]] virtual std::shared_ptr<Derived> clone() const = 0;
  /// Changes what it reads so that its value becomes `wanted`, for set_tensor(). False if it cannot be written.
  virtual bool assign(Module& /*owner*/, const Tensor& /*wanted*/) { return false; }
  /// What `owner` shall store where somebody puts `wanted` in the place of its buffer `name`: the tensor itself, or
  /// what this one can read instead. Called before anything changes. @throws ShapeError, ValueError  to refuse it
  [[nodiscard]] virtual Tensor input(const Module& /*owner*/, std::string_view /*name*/, const Tensor& wanted) const {
    return wanted;
  }
};

}  // namespace coppice::nn
