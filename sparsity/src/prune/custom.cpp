#include "coppice/sparsity/prune/custom.h"

#include "coppice/engine/ops/elementwise.h"

namespace coppice::sparsity::prune {

Tensor CustomFromMask::compute_mask(const Tensor&, const Tensor& default_mask) const {
  if (!mask_.defined()) throw StateError("[CustomFromMask] has no mask of its own: it came from a model file");
  if (mask_.shape() != default_mask.shape())
    throw ShapeError(cat("[CustomFromMask] mask ", mask_.shape(), " for a tensor of shape ", default_mask.shape()));
  return mul(default_mask, mask_.to(default_mask.dtype()));
}

}  // namespace coppice::sparsity::prune
