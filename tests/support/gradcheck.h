#pragma once
/// The full Jacobian of a function, as backward() gives it and as central differences give it.

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "coppice/engine/autograd.h"
#include "coppice/engine/tensor.h"

namespace coppice::testing {

using TensorFunction = std::function<Tensor(const TensorList&)>;

/// In double, central differences with this step err by about 1e-10 relative to smooth functions of size one.
struct GradcheckOptions {
  double step = 1e-5;
  double rtol = 1e-6;
  double atol = 1e-8;
};

namespace detail {

/// inputs[k] with element i moved by `delta`; the others untouched.
inline Tensor moved(const TensorFunction& f, TensorList inputs, std::size_t k, std::size_t i, double delta) {
  inputs[k] = inputs[k].detach().clone();
  inputs[k].mutable_data<double>()[i] += delta;
  return f(inputs);
}

}  // namespace detail

/// Empty when both Jacobians of `f` agree in every element; otherwise the element that differs and both values.
///
/// @param f       deterministic; reads its inputs, returns a float64 tensor of any shape
/// @param inputs  float64 ones are differentiated, at a point where `f` is smooth; others (indices, masks) are passed
/// on A result that does not require grad is reported too, so that a lost gradient cannot pass. Use as
/// CHECK(gradcheck([](const TensorList& in) { return exp(in[0]); }, {x}) == "").
inline std::string gradcheck(const TensorFunction& f, const TensorList& inputs, GradcheckOptions options = {}) {
  TensorList leaves;
  std::vector<std::size_t> checked;
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    leaves.push_back(inputs[k].defined() ? inputs[k].detach().clone() : inputs[k]);
    if (!inputs[k].defined() || inputs[k].dtype() != Dtype::f64) continue;
    leaves.back().requires_grad_();
    checked.push_back(k);
  }
  if (checked.empty()) return "no float64 input to differentiate";
  const Tensor y = f(leaves);
  if (y.dtype() != Dtype::f64) return cat("the result is ", y.dtype(), ", not float64");
  if (!y.requires_grad()) return "the result does not require grad";

  // analytic[j][k]: row j of the Jacobian for input k, by sending a one through output j.
  const auto outputs = static_cast<std::size_t>(y.numel());
  std::vector<std::vector<std::vector<double>>> analytic(outputs);
  for (std::size_t j = 0; j < outputs; ++j) {
    Tensor seed = Tensor::empty(y.shape(), Dtype::f64);
    seed.zero_();
    seed.mutable_data<double>()[j] = 1;
    y.backward(seed, /*retain_graph=*/j + 1 < outputs);
    for (const std::size_t k : checked) {
      Tensor g = leaves[k].grad();
      if (g.defined() && (g.shape() != leaves[k].shape() || g.dtype() != Dtype::f64))
        return cat("the gradient of input ", k, " is ", g.dtype(), " ", g.shape(), ", the input float64 ",
                   leaves[k].shape());
      analytic[j].push_back(g.defined() ? g.to_vector<double>()
                                        : std::vector<double>(static_cast<std::size_t>(leaves[k].numel())));
      leaves[k].set_grad(Tensor());
    }
  }

  const NoGrad off;
  for (std::size_t c = 0; c < checked.size(); ++c) {
    const std::size_t k = checked[c];
    for (std::size_t i = 0; i < static_cast<std::size_t>(inputs[k].numel()); ++i) {
      const auto plus = detail::moved(f, inputs, k, i, options.step).to_vector<double>();
      const auto minus = detail::moved(f, inputs, k, i, -options.step).to_vector<double>();
      for (std::size_t j = 0; j < outputs; ++j) {
        const double numeric = (plus[j] - minus[j]) / (2 * options.step);
        const double given = analytic[j][c][i];
        if (!(std::abs(given - numeric) <= options.atol + options.rtol * std::abs(numeric)))
          return cat("d output[", j, "] / d input ", k, "[", i, "]: backward gives ", given, ", differences give ",
                     numeric);
      }
    }
  }
  return {};
}

}  // namespace coppice::testing
