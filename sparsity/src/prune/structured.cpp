#include "coppice/sparsity/prune/structured.h"

#include <cmath>

#include "coppice/engine/create.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/shape_ops.h"
#include "coppice/engine/random.h"
#include "coppice/sparsity/mask_ops.h"
#include "settings.h"

namespace coppice::sparsity::prune {
namespace {

/// Slices along `dim`, after the checks in PyTorch's order.
std::int64_t units(const Method& method, const Tensor& scores, const Shape& mask) {
  if (scores.dim() < 2)
    throw ShapeError(cat("[", method.type_name(), "] needs at least 2 axes; got shape ", scores.shape()));
  if (scores.shape() != mask)
    throw ShapeError(cat("[", method.type_name(), "] scores ", scores.shape(), " and mask ", mask));
  return scores.size(resolve_axis("prune", *method.dim(), scores.dim()));
}

/// Scores with one slice along `dim`, where the slices are empty: a shape of a few bytes may claim billions of them,
/// and there is nothing to rank.
Tensor one_if_empty(const Tensor& scores, std::int64_t dim) {
  const std::int64_t axis = resolve_axis("prune", dim, scores.dim());
  return scores.numel() == 0 && scores.size(axis) > 1 ? narrow(scores, axis, 0, 1) : scores;
}

/// The mask of the slices joined with the one before, in the type of the scores; the one before itself if no slice
/// goes.
Tensor joined(const Tensor& slices, const Tensor& before, Dtype dtype) {
  return slices.defined() ? mul(slices, before.to(dtype)) : before;
}

}  // namespace

nn::Arguments RandomStructured::arguments() const {
  nn::Arguments out = settings(amount_, ties_);
  out.set("dim", dim_);
  return out;
}

Tensor RandomStructured::slices(const Tensor& scores, const Shape& mask) const {
  const std::int64_t count = amount_.of(units(*this, scores, mask));
  if (count == 0) return {};
  Generator& generator = generator_ ? *generator_ : default_generator();
  return mask_random_channels(scores, count, dim_, generator, ties_);
}

Tensor RandomStructured::compute_mask(const Tensor& scores, const Tensor& default_mask) const {
  return joined(slices(scores, default_mask.shape()), default_mask, scores.dtype());
}

Tensor RandomStructured::first_mask(const Tensor& scores, Dtype dtype) const {
  const Tensor mask = slices(scores, scores.shape());
  return mask.defined() ? mask : ones(scores.shape(), dtype);
}

nn::Arguments LnStructured::arguments() const {
  nn::Arguments out = settings(amount_, ties_);
  // Files hold no number that is not finite.
  if (n_.word == NormOrder::Word::none && std::isfinite(n_.p))
    out.set("n", n_.p);
  else
    out.set("n", to_string(n_));
  out.set("dim", dim_);
  return out;
}

Tensor LnStructured::slices(const Tensor& scores, const Shape& mask) const {
  const std::int64_t count = amount_.of(units(*this, scores, mask));
  const Tensor ranked = is_floating(scores.dtype()) ? scores : scores.to(Dtype::f64);
  // Also where nothing goes: a bad norm is refused.
  const Tensor norms = channel_norms(one_if_empty(ranked, dim_), n_, dim_);
  if (count == 0) return {};
  return scores.numel() == 0 ? zeros_like(scores) : mask_channels(scores, norms, count, dim_, ties_);
}

Tensor LnStructured::compute_mask(const Tensor& scores, const Tensor& default_mask) const {
  return joined(slices(scores, default_mask.shape()), default_mask, scores.dtype());
}

Tensor LnStructured::first_mask(const Tensor& scores, Dtype dtype) const {
  const Tensor mask = slices(scores, scores.shape());
  return mask.defined() ? mask : ones(scores.shape(), dtype);
}

}  // namespace coppice::sparsity::prune
