#pragma once
/// Matrices for the tests of packed formats.

#include <algorithm>
#include <span>
#include <string_view>
#include <vector>

#include "coppice/engine/random.h"
#include "coppice/engine/sparse/packed_matrix.h"
#include "coppice/engine/tensor.h"

namespace coppice::test {

inline Tensor random(const Shape& shape, Generator& g) {
  Tensor t = Tensor::empty(shape);
  g.uniform(t.mutable_data<float>(), -1, 1);
  return t;
}

/// A matrix with about `density` of its numbers, and some rows and columns without any.
inline Tensor sparse_matrix(std::int64_t rows, std::int64_t cols, double density, Generator& g) {
  Tensor w = random(Shape{rows, cols}, g);
  std::vector<float> keep(static_cast<std::size_t>(rows * cols));
  g.bernoulli(std::span(keep), density);
  const auto data = w.mutable_data<float>();
  for (std::size_t i = 0; i < keep.size(); ++i) {
    const auto row = static_cast<std::int64_t>(i) / cols, col = static_cast<std::int64_t>(i) % cols;
    if (keep[i] == 0 || row % 7 == 3 || col % 11 == 5) data[i] = 0;
  }
  return w;
}

/// Formats with a member of this name.
inline std::vector<PackedFormat> formats_with(std::string_view member) {
  std::vector<PackedFormat> out;
  for (const PackedFormat f : all_packed_formats())
    if (std::ranges::count(f.layout().members, member) != 0) out.push_back(f);
  return out;
}

}  // namespace coppice::test
