#pragma once
/// Tensors as Eigen maps and xtensor adaptors, without a copy. The only header that names either library: include it
/// where you use them, with their headers on your path.

#include <Eigen/Core>
#include <xtensor/xadapt.hpp>

#include "coppice/engine/tensor.h"

namespace coppice {

template <class T>
using RowMajorMatrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// A matrix tensor for reading. The map is valid while the tensor's storage lives.
/// @throws ShapeError  unless the rank is 2; DtypeError
template <class T>
[[nodiscard]] Eigen::Map<const RowMajorMatrix<T>> as_eigen(const Tensor& t) {
  if (t.dim() != 2) throw ShapeError(cat("[as_eigen] needs a matrix; got ", t.shape()));
  return {t.data<T>().data(), static_cast<Eigen::Index>(t.size(0)), static_cast<Eigen::Index>(t.size(1))};
}

/// The same for writing; counts as one in-place change.
template <class T>
[[nodiscard]] Eigen::Map<RowMajorMatrix<T>> as_mutable_eigen(Tensor& t) {
  if (t.dim() != 2) throw ShapeError(cat("[as_mutable_eigen] needs a matrix; got ", t.shape()));
  return {t.mutable_data<T>().data(), static_cast<Eigen::Index>(t.size(0)), static_cast<Eigen::Index>(t.size(1))};
}

/// A tensor of any rank for reading, as an xtensor expression. Valid while the tensor's storage lives. @throws
/// DtypeError
template <class T>
[[nodiscard]] auto as_xtensor(const Tensor& t) {
  const std::vector<std::size_t> sizes(t.shape().begin(), t.shape().end());
  return xt::adapt(t.data<T>().data(), static_cast<std::size_t>(t.numel()), xt::no_ownership(), sizes);
}

/// The same for writing; counts as one in-place change.
template <class T>
[[nodiscard]] auto as_mutable_xtensor(Tensor& t) {
  const std::vector<std::size_t> sizes(t.shape().begin(), t.shape().end());
  return xt::adapt(t.mutable_data<T>().data(), static_cast<std::size_t>(t.numel()), xt::no_ownership(), sizes);
}

}  // namespace coppice
