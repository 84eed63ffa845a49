#include "coppice/sparsity/prune/by_sparsifier.h"

#include "coppice/engine/create.h"
#include "coppice/engine/ops/elementwise.h"

namespace coppice::sparsity::prune {
namespace {

/// `values` where `condition` is not zero, and zeros elsewhere. No product: NaN and infinities would stay.
Tensor only_where(const Tensor& condition, const Tensor& values) {
  return where(condition, values, zeros({}, values.dtype()));
}

}  // namespace

BySparsifier::BySparsifier(std::string_view name, const Arguments& set, TieRule ties)
    : kind_(&sparsifier_kind(name)),
      settings_(settings_of(*kind_, set)),
      ties_(ties),
      mask_(kind_->make(settings_, ties)) {}

nn::Arguments BySparsifier::arguments() const {
  Arguments out{{"sparsifier", kind_->name}};
  for (const auto& [key, value] : settings_) out.set(key, value);
  if (kind_->has_ties && ties_ == TieRule::pytorch) out.set("ties", std::string("pytorch"));
  return out;
}

Tensor BySparsifier::compute_mask(const Tensor& scores, const Tensor& default_mask) const {
  if (scores.shape() != default_mask.shape())
    throw ShapeError(
        cat("[BySparsifier] scores ", scores.shape(), " and mask ", default_mask.shape(), " differ in shape"));
  return only_where(mask_(only_where(default_mask, scores)), default_mask);
}

Tensor BySparsifier::first_mask(const Tensor& scores, Dtype dtype) const { return mask_(scores).to(dtype); }

}  // namespace coppice::sparsity::prune
