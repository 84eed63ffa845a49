#include "coppice/engine/sparse/coo.h"

#include <vector>

#include "coppice/engine/create.h"

namespace coppice {

CooTensor to_coo(const Tensor& t) {
  const auto rank = static_cast<std::size_t>(t.dim());
  return dispatch(t.dtype(), [&]<class T>() {
    const auto all = t.data<T>();
    std::vector<std::int64_t> flat;
    for (std::size_t i = 0; i < all.size(); ++i)
      if (convert<bool>(convert<double>(all[i]))) flat.push_back(static_cast<std::int64_t>(i));
    const auto count = static_cast<std::int64_t>(flat.size());
    CooTensor out{Tensor::empty({t.dim(), count}, Dtype::i64), Tensor::empty({count}, t.dtype()), t.shape()};
    const auto indices = out.indices.mutable_data<std::int64_t>();
    const auto values = out.values.mutable_data<T>();
    const std::vector<std::int64_t> strides = strides_of(t.shape());
    for (std::size_t i = 0; i < flat.size(); ++i) {
      values[i] = all[static_cast<std::size_t>(flat[i])];
      std::int64_t rest = flat[i];
      for (std::size_t axis = 0; axis < rank; ++axis) {
        indices[axis * flat.size() + i] = rest / strides[axis];
        rest %= strides[axis];
      }
    }
    return out;
  });
}

Tensor to_dense(const CooTensor& coo) {
  const std::int64_t count = coo.values.numel();
  if (coo.values.dim() != 1 || coo.indices.shape() != Shape{coo.shape.rank(), count})
    throw ShapeError(cat("[to_dense] a tensor of shape ", coo.shape, " needs values [n] and indices [",
                         coo.shape.rank(), ", n]; got ", coo.values.shape(), " and ", coo.indices.shape()));
  if (coo.indices.dtype() != Dtype::i64)
    throw DtypeError(cat("[to_dense] indices must be int64; got ", coo.indices.dtype()));
  const auto indices = coo.indices.data<std::int64_t>();
  const std::vector<std::int64_t> strides = strides_of(coo.shape);
  std::vector<std::size_t> flat(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < flat.size(); ++i) {
    std::int64_t at = 0;
    for (std::size_t axis = 0; axis < strides.size(); ++axis) {
      const std::int64_t index = indices[axis * flat.size() + i];
      const std::int64_t size = coo.shape[static_cast<std::int64_t>(axis)];
      if (index < 0 || index >= size)
        throw IndexError(cat("[to_dense] index ", index, " on axis ", axis, " of size ", size));
      at += index * strides[axis];
    }
    flat[i] = static_cast<std::size_t>(at);
  }
  Tensor out = zeros(coo.shape, coo.values.dtype());
  dispatch(out.dtype(), [&]<class T>() {
    const auto from = coo.values.data<T>();
    const auto to = out.mutable_data<T>();
    for (std::size_t i = 0; i < flat.size(); ++i) {
      T& there = to[flat[i]];
      const double before = convert<double>(there);
      there = before == 0 ? from[i] : convert<T>(before + convert<double>(from[i]));
    }
  });
  return out;
}

bool operator==(const CooTensor& a, const CooTensor& b) {
  return a.shape == b.shape && a.indices == b.indices && a.values == b.values;
}

std::string to_string(const CooTensor& coo) {
  return cat("CooTensor(", coo.shape, ", ", coo.values.dtype(), ", ", coo.nnz(), " elements)");
}

}  // namespace coppice
