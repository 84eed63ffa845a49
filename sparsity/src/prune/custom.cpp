#include "coppice/sparsity/prune/custom.h"

#include "coppice/engine/ops/elementwise.h"

namespace coppice::sparsity::prune {

Tensor CustomFromMask::compute_mask(const Tensor&, const Tensor& default_mask) const {
  if (!mask_.defined()) throw StateError("[CustomFromMask] has no mask of its own: it came from a model file");
  if (mask_.shape() != default_mask.shape())
    throw ShapeError(cat("[CustomFromMask] mask ", mask_.shape(), " for a tensor of shape ", default_mask.shape()));
  return mul(default_mask, mask_.to(default_mask.dtype()));
}

Tensor CustomFromMask::first_mask(const Tensor& scores, Dtype dtype) const {
  if (!mask_.defined() || mask_.shape() != scores.shape()) return Method::first_mask(scores, dtype);  // which refuses
  return mask_.dtype() == dtype ? mask_.clone() : mask_.to(dtype);
}

}  // namespace coppice::sparsity::prune
