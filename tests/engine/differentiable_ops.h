#pragma once
/// Every differentiable operation of the engine, called at a point where it is smooth: one table for the tests that
/// hold for all of them (Jacobians, overwritten tensors, undefined inputs).

#include <string>
#include <vector>

#include "coppice/engine/tensor.h"
#include "support/overwrite.h"

namespace coppice::testing {

struct DifferentiableOp {
  std::string name;         ///< as its header declares it
  TensorListFunction call;  ///< on the inputs
  TensorList inputs;        ///< float64, in which the gradients are checked; others are conditions and indices
  std::vector<std::size_t> optional{};  ///< inputs that may be undefined
};

/// An operation that is in a header of engine/ops and not here fails a test (ops_gradient_test).
const std::vector<DifferentiableOp>& differentiable_ops();

/// Functions that give tensors without a gradient, by the names that the headers declare.
const std::vector<std::string>& other_ops();

}  // namespace coppice::testing
