#pragma once
// A plain function as an aggregator. Private to sparsity.

#include <functional>

#include "coppice/engine/create.h"
#include "coppice/sparsity/activation/functions.h"

namespace coppice::sparsity {

/// Tensor number `i` of what an aggregator keeps. @throws ValueError  if there are fewer, as in a state that is made up
[[nodiscard]] inline const Tensor& part_of(const TensorList& state, std::size_t i) {
  if (i >= state.size())
    throw ValueError(cat("[ActivationSparsifier] what was collected is of ", state.size(),
                         " tensors; aggregate_fn needs ", i + 1, " at least"));
  return state[i];
}

/// f(zeros, x), then f(that, x) of the next x, as PyTorch begins: a maximum is clipped at zero so.
class ZeroFold final : public Aggregator {
 public:
  explicit ZeroFold(std::function<AggregateSignature> function) : function_(std::move(function)) {}
  [[nodiscard]] TensorList begin(const Tensor& x) const override { return {zeros_like(x)}; }
  [[nodiscard]] TensorList add(const TensorList& state, const Tensor& x) const override {
    const Tensor y = function_(part_of(state, 0), x);
    if (!y.defined()) throw TypeError("[ActivationSparsifier] aggregate_fn gives no tensor");
    return {y.shares_storage(x) ? y.clone() : y};
  }
  [[nodiscard]] Tensor value(const TensorList& state) const override { return part_of(state, 0); }

 private:
  std::function<AggregateSignature> function_;
};

}  // namespace coppice::sparsity
