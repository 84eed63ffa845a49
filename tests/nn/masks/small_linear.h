#pragma once
/// A layer to mask, and a mask.

#include "coppice/engine/create.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/nn/state_dict.h"

namespace coppice::test {

/// Linear(2, 2) with weight [[1, -2], [3, 4]] and bias (0, 0).
inline nn::Linear small() {
  nn::Linear m(2, 2);
  nn::load_state_dict(m, NamedTensors{{"weight", Tensor::of({{1, -2}, {3, 4}})}, {"bias", zeros({2})}});
  return m;
}

inline const Tensor kMask = Tensor::of({{1, 0}, {0, 1}});

}  // namespace coppice::test
