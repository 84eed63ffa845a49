// The one file that walks strided shapes; xtensor does the walking.
#include "broadcast.h"

#include <algorithm>
#include <numeric>
#include <xtensor/xadapt.hpp>
#include <xtensor/xbroadcast.hpp>
#include <xtensor/xmanipulation.hpp>
#include <xtensor/xnoalias.hpp>

#include "coppice/engine/ops/reduce.h"
#include "kernels/levels.h"

namespace coppice {
namespace {

using Sizes = std::vector<std::size_t>;

Sizes sizes_of(const Shape& shape) { return {shape.begin(), shape.end()}; }

/// Copies never look at the values: one instance per element size serves all types.
template <class F>
void by_size(Dtype dtype, F&& f) {
  switch (itemsize(dtype)) {
    case 1: return f.template operator()<std::uint8_t>();
    case 2: return f.template operator()<std::uint16_t>();
    case 4: return f.template operator()<std::uint32_t>();
    default: return f.template operator()<std::uint64_t>();
  }
}

template <class U>
auto view_of(const Tensor& t, const Sizes& sizes) {
  return xt::adapt(reinterpret_cast<const U*>(t.bytes()), static_cast<std::size_t>(t.numel()), xt::no_ownership(),
                   sizes);
}

template <class U>
auto mutable_view_of(Tensor& t, const Sizes& sizes) {
  return xt::adapt(reinterpret_cast<U*>(t.mutable_bytes()), static_cast<std::size_t>(t.numel()), xt::no_ownership(),
                   sizes);
}

/// `t` is one row (its shape is a tail of `shape`): repeat it as a block.
bool is_tail(const Shape& small, const Shape& shape) {
  std::int64_t lead = 0;
  while (lead < small.rank() && small[lead] == 1) ++lead;
  const std::int64_t tail = small.rank() - lead;
  if (tail > shape.rank()) return false;
  for (std::int64_t i = 1; i <= tail; ++i)
    if (small[-i] != shape[-i]) return false;
  return true;
}

}  // namespace

Tensor expand(const Tensor& t, const Shape& shape) {
  if (t.shape() == shape) return t;
  Tensor y = Tensor::empty(shape, t.dtype());
  if (shape.numel() == 0) return y;
  by_size(t.dtype(), [&]<class U>() {
    if (is_tail(t.shape(), shape)) {
      const auto* from = reinterpret_cast<const U*>(t.bytes());
      auto* to = reinterpret_cast<U*>(y.mutable_bytes());
      const std::int64_t n = t.numel();
      if (n == 1)
        std::fill_n(to, shape.numel(), *from);
      else
        for (std::int64_t i = 0; i < shape.numel(); i += n) std::copy_n(from, n, to + i);
      return;
    }
    const Sizes target = sizes_of(shape);
    auto out = mutable_view_of<U>(y, target);
    xt::noalias(out) = xt::broadcast(view_of<U>(t, sizes_of(t.shape())), target);
  });
  return y;
}

Tensor sum_to(const Tensor& t, const Shape& shape) {
  if (t.shape() == shape) return t;
  std::vector<std::int64_t> axes;
  const std::int64_t lead = t.dim() - shape.rank();
  for (std::int64_t i = 0; i < t.dim(); ++i)
    if (i < lead || (shape[i - lead] == 1 && t.size(i) != 1)) axes.push_back(i);
  return axes.empty() ? t.reshape(shape) : sum(t, axes, true).reshape(shape);
}

Tensor permuted(const Tensor& t, std::span<const std::int64_t> axes) {
  std::vector<std::int64_t> sizes;
  for (const std::int64_t axis : axes) sizes.push_back(t.size(axis));
  Tensor y = Tensor::empty(Shape(sizes), t.dtype());
  if (t.numel() == 0) return y;
  if (t.dim() == 2 && axes[0] == 1 && itemsize(t.dtype()) == 4) {  // in vector blocks; moves bits, whatever they mean
    kernels::in_use().dense.transpose(reinterpret_cast<const float*>(t.bytes()), t.size(0), t.size(1), t.size(1),
                                      reinterpret_cast<float*>(y.mutable_bytes()), t.size(0));
    return y;
  }
  by_size(t.dtype(), [&]<class U>() {
    const Sizes order(axes.begin(), axes.end());
    auto out = mutable_view_of<U>(y, sizes_of(y.shape()));
    xt::noalias(out) = xt::transpose(view_of<U>(t, sizes_of(t.shape())), order);
  });
  return y;
}

}  // namespace coppice
