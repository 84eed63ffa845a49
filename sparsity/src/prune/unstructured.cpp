#include "coppice/sparsity/prune/unstructured.h"

#include "coppice/engine/create.h"
#include "coppice/engine/ops/select.h"
#include "coppice/engine/random.h"
#include "settings.h"

namespace coppice::sparsity::prune {
namespace {

void check_shapes(const Method& method, const Tensor& scores, const Tensor& mask) {
  if (scores.shape() != mask.shape())
    throw ShapeError(cat("[", method.type_name(), "] scores ", scores.shape(), " and mask ", mask.shape()));
}

/// The selected entries of `scores` as zeros in a copy of `mask`. No product: what a mask holds may be infinite.
Tensor zeroed(const Tensor& mask, const Tensor& scores, const MaskRequest& request) {
  Tensor out = mask.clone();
  zero_selected_({out}, request, {scores});
  return out;
}

MaskRequest random_request(std::int64_t count, TieRule ties) {
  return {.count = count, .magnitude = false, .largest = true, .ties = ties};
}

}  // namespace

Tensor IdentityMethod::compute_mask(const Tensor&, const Tensor& default_mask) const { return default_mask; }
Tensor IdentityMethod::first_mask(const Tensor& scores, Dtype dtype) const { return ones(scores.shape(), dtype); }

nn::Arguments RandomUnstructured::arguments() const { return settings(amount_, ties_); }

Tensor RandomUnstructured::draws(const Tensor& scores) const {
  const Dtype type = is_floating(scores.dtype()) ? scores.dtype() : Dtype::f32;
  return rand(scores.shape(), type, generator_ ? generator_ : &default_generator());
}

Tensor RandomUnstructured::compute_mask(const Tensor& scores, const Tensor& default_mask) const {
  check_shapes(*this, scores, default_mask);
  const std::int64_t count = amount_.of(scores.numel());
  if (count == 0) return default_mask.clone();
  return zeroed(default_mask, draws(scores), random_request(count, ties_));
}

Tensor RandomUnstructured::first_mask(const Tensor& scores, Dtype dtype) const {
  const std::int64_t count = amount_.of(scores.numel());
  if (count == 0) return ones(scores.shape(), dtype);
  return select_masks({draws(scores)}, random_request(count, ties_), {}, dtype)[0];
}

nn::Arguments L1Unstructured::arguments() const { return settings(amount_, ties_); }

Tensor L1Unstructured::compute_mask(const Tensor& scores, const Tensor& default_mask) const {
  check_shapes(*this, scores, default_mask);
  const std::int64_t count = amount_.of(scores.numel());
  if (count == 0) return default_mask.clone();
  return zeroed(default_mask, scores, {.count = count, .ties = ties_});
}

Tensor L1Unstructured::first_mask(const Tensor& scores, Dtype dtype) const {
  const std::int64_t count = amount_.of(scores.numel());
  if (count == 0) return ones(scores.shape(), dtype);
  return select_masks({scores}, {.count = count, .ties = ties_}, {}, dtype)[0];
}

}  // namespace coppice::sparsity::prune
