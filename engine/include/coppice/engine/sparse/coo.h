#pragma once
/// Coordinates of what is not zero: how states show masks, as PyTorch's do.

#include "coppice/engine/tensor.h"

namespace coppice {

/// Source: torch.sparse_coo_tensor, coalesced
struct CooTensor {
  Tensor indices;  ///< i64 [rank, count], columns in row-major order
  Tensor values;   ///< [count], in the type of the tensor
  Shape shape;

  /// Elements that are stored.
  [[nodiscard]] std::int64_t nnz() const { return values.numel(); }
};

/// The elements of `t` that are not zero (-0 is, NaN is not), detached.
/// Costs 8 * rank + itemsize bytes for each: more than an int8 mask itself where over 6 % of a matrix are kept.
/// Source: torch.Tensor.to_sparse_coo
[[nodiscard]] CooTensor to_coo(const Tensor& t);

/// The reverse. An element that is named twice gets the sum, as in PyTorch.
/// @throws ShapeError  if indices or values have other shapes than above; DtypeError  unless the indices are int64;
///         IndexError  for one outside the shape
[[nodiscard]] Tensor to_dense(const CooTensor& coo);

/// The same shape, type and elements.
[[nodiscard]] bool operator==(const CooTensor& a, const CooTensor& b);

/// Shape, type and number of elements.
[[nodiscard]] std::string to_string(const CooTensor& coo);

}  // namespace coppice
