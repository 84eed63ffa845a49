#pragma once
/// Tensors with many zeros.

#include <cstdint>

#include "coppice/engine/create.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/random.h"

namespace coppice::testing {

/// Random numbers, three quarters of them zero.
inline Tensor sparse(const Shape& shape, std::uint64_t seed) {
  Generator g(seed);
  const Tensor values = randn(shape, Dtype::f32, &g), draws = rand(shape, Dtype::f32, &g);
  return values * lt(draws, Tensor::of(0.25)).to(Dtype::f32);
}

}  // namespace coppice::testing
