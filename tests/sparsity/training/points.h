#pragma once
/// Data that a small network learns.

#include "coppice/engine/create.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/engine/ops/shape_ops.h"
#include "coppice/engine/random.h"
#include "coppice/sparsity/training/dataset.h"

namespace coppice::test {

/// `n` points of normal numbers, [n, features], each of the class of the largest of its first `classes` numbers. Always
/// the same.
inline sparsity::Dataset points(std::int64_t n, std::int64_t features, std::int64_t classes) {
  Generator g(1);
  const Tensor x = randn({n, features}, Dtype::f32, &g);
  return sparsity::make_dataset(x, argmax(narrow(x, 1, 0, classes), 1));
}

}  // namespace coppice::test
