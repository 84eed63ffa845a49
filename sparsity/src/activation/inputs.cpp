#include "inputs.h"

#include <cstring>

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/shape_ops.h"

namespace coppice::sparsity {
namespace {

/// Ones in the shape of x, with the masks at their features.
Tensor factors_of(const Tensor& x, const TensorList& masks, const FeatureAxis& axis) {
  const NoGrad guard;
  const std::int64_t dim = resolve_axis("ActivationSparsifier", axis.dim, x.dim());
  std::int64_t outer = 1, inner = 1;
  for (std::int64_t i = 0; i < dim; ++i) outer *= x.size(i);
  for (std::int64_t i = dim + 1; i < x.dim(); ++i) inner *= x.size(i);
  Tensor factors = ones_like(x.detach());
  for (std::size_t i = 0; i < masks.size(); ++i) {
    const std::int64_t feature = axis.features[i];
    // A feature may stand twice: what it has so far is multiplied.
    const Tensor now = index_select(factors, dim, Tensor::from(std::vector<std::int64_t>{feature}, {1}));
    const Tensor product = mul(now, masks[i].to(x.dtype()));
    if (product.shape() != now.shape())
      throw ShapeError(cat("[ActivationSparsifier] mask ", masks[i].shape(), " for feature ", feature, " of an input ",
                           x.shape(), ", which has shape ", now.shape()));
    const std::size_t run = static_cast<std::size_t>(inner) * itemsize(x.dtype());
    const std::size_t stride = run * static_cast<std::size_t>(x.size(dim));
    std::byte* const to = factors.mutable_bytes();
    for (std::size_t o = 0; o < static_cast<std::size_t>(outer); ++o)
      std::memcpy(to + o * stride + static_cast<std::size_t>(feature) * run, product.bytes() + o * run, run);
  }
  return factors;
}

}  // namespace

TensorList slices_of(const Tensor& x, const FeatureAxis& axis) {
  TensorList out;
  for (const std::int64_t feature : axis.features)
    out.push_back(index_select(x, axis.dim, Tensor::from(std::vector<std::int64_t>{feature}, {1})));
  return out;
}

Tensor with_masked_slices(const Tensor& x, const TensorList& masks, const FeatureAxis& axis) {
  return masks.empty() ? x : mul(x, factors_of(x, masks, axis));
}

void mask_slices_(Tensor x, const TensorList& masks, const FeatureAxis& axis) {
  if (!masks.empty()) x.mul_(factors_of(x, masks, axis));
}

}  // namespace coppice::sparsity
