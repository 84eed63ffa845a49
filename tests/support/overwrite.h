#pragma once
/// What a gradient is worth after a tensor of its operation was overwritten between forward and backward pass.

#include <functional>
#include <optional>
#include <string>

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/engine/tensor.h"

namespace coppice::testing {

using TensorListFunction = std::function<TensorList(const TensorList&)>;

namespace detail {

/// One tensor that is filled between forward and backward.
struct Spoiled {
  bool output = false;
  std::size_t index = 0;
  double value = 0;
};

/// Weights that tell the elements of all results apart.
inline Tensor weights_for(const Tensor& y) {
  Tensor w = Tensor::empty(y.shape(), y.dtype());
  std::size_t i = 0;
  for (double& v : w.mutable_data<double>()) v = 0.5 + 0.25 * static_cast<double>(i++ % 7);
  return w;
}

/// Gradients of the inputs, undefined where there is none; nothing if backward refused with a StateError.
inline std::optional<TensorList> gradients(const TensorListFunction& f, const TensorList& inputs,
                                           std::optional<Spoiled> spoiled) {
  TensorList leaves;
  for (const Tensor& t : inputs) {
    leaves.push_back(t.defined() ? t.detach().clone() : t);
    if (t.defined() && t.dtype() == Dtype::f64) leaves.back().requires_grad_();
  }
  TensorList ys = f(leaves);
  Tensor total = full({}, 0, Dtype::f64);
  for (const Tensor& y : ys)
    if (y.dtype() == Dtype::f64) total = total + sum(y * weights_for(y));
  if (spoiled) {
    const NoGrad off;
    (spoiled->output ? ys : leaves)[spoiled->index].fill_(spoiled->value);
  }
  try {
    total.backward();
  } catch (const StateError&) {
    return std::nullopt;
  }
  TensorList out;
  for (const Tensor& t : leaves) out.push_back(t.defined() ? t.grad() : t);
  return out;
}

inline bool same(const Tensor& a, const Tensor& b) { return a.defined() == b.defined() && (!a.defined() || a == b); }

}  // namespace detail

/// Empty when no input and no result of `f`, overwritten in place after the forward pass, spoils a gradient without a
/// word: backward gives exactly the gradients of the untouched run, or is a StateError. Otherwise what went wrong.
///
/// @param inputs  float64 ones are differentiated; others (conditions, indices) are overwritten as well
/// Use as CHECK(overwrite_check([](const TensorList& in) { return TensorList{exp(in[0])}; }, {x}) == "").
inline std::string overwrite_check(const TensorListFunction& f, const TensorList& inputs) {
  const auto right = detail::gradients(f, inputs, std::nullopt);
  if (!right) return "backward is refused although nothing was overwritten";
  const std::size_t outputs = f(inputs).size();
  for (const double value : {7.25, 0.0})
    for (std::size_t i = 0; i < inputs.size() + outputs; ++i) {
      const bool output = i >= inputs.size();
      const std::size_t index = output ? i - inputs.size() : i;
      if (!output && !inputs[index].defined()) continue;
      const auto given = detail::gradients(f, inputs, detail::Spoiled{output, index, value});
      for (std::size_t k = 0; given && k < inputs.size(); ++k)
        if (!detail::same((*given)[k], (*right)[k]))
          return cat("after ", output ? "result " : "input ", index, " became ", value, ", the gradient of input ", k,
                     " is ", (*given)[k], " instead of ", (*right)[k]);
    }
  return {};
}

}  // namespace coppice::testing
