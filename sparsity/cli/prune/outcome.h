#pragma once
// What is told of targets as they are pruned.

#include <cstdint>
#include <functional>

#include "coppice/engine/tensor.h"
#include "coppice/sparsity/prunables.h"

namespace coppice::cli {

struct Outcome {
  /// Whether a target's mask is given to `bits` instead of its module.
  std::function<bool(const sparsity::Prunable&)> takes_bits;
  std::function<void(const sparsity::Prunable&, const Tensor&)> bits;  ///< nn::pack_bits() of the mask
  std::function<void(const sparsity::Prunable&)> masked;               ///< the mask is in the module
  std::uint64_t window = 0;  ///< bytes of values that are read until their pages are given back
};

}  // namespace coppice::cli
