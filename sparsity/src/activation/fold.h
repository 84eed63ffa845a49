#pragma once
// A plain function as an aggregator. Private to sparsity.

#include <functional>

#include "coppice/engine/create.h"
#include "coppice/sparsity/activation/functions.h"

namespace coppice::sparsity {

/// f(zeros, x), then f(that, x) of the next x, as PyTorch begins: a maximum is clipped at zero so.
class ZeroFold final : public Aggregator {
 public:
  explicit ZeroFold(std::function<AggregateSignature> function) : function_(std::move(function)) {}
  [[nodiscard]] TensorList begin(const Tensor& x) const override { return {zeros_like(x)}; }
  [[nodiscard]] TensorList add(const TensorList& state, const Tensor& x) const override {
    const Tensor y = function_(state.at(0), x);
    if (!y.defined()) throw TypeError("[ActivationSparsifier] aggregate_fn gives no tensor");
    return {y.shares_storage(x) ? y.clone() : y};
  }
  [[nodiscard]] Tensor value(const TensorList& state) const override { return state.at(0); }

 private:
  std::function<AggregateSignature> function_;
};

}  // namespace coppice::sparsity
