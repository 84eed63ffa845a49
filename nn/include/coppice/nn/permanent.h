#pragma once

#include "coppice/nn/module.h"

namespace coppice::nn {

/// Makes every computed tensor of the tree a parameter with the values it has: masks are burnt in, parametrizations
/// removed. What is left is a plain model, for packing and for programs that know nothing of pruning.
/// @throws StateError  for tensors derived in another way
void make_permanent(Module& root);

}  // namespace coppice::nn
