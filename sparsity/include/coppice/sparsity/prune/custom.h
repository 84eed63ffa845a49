#pragma once
/// A mask that the caller brings.

#include "coppice/sparsity/prune/method.h"

namespace coppice::sparsity::prune {

/// Multiplies the mask so far by a given one, which may hold any numbers.
class CustomFromMask final : public Method {
 public:
  /// @param mask  undefined in what a model file brings back: the mask of the parameter has it already
  explicit CustomFromMask(Tensor mask = {}) : mask_(std::move(mask)) {}
  [[nodiscard]] const Tensor& mask() const { return mask_; }
  [[nodiscard]] std::string_view type_name() const override { return "CustomFromMask"; }
  [[nodiscard]] std::shared_ptr<Method> copy() const override { return std::make_shared<CustomFromMask>(*this); }
  [[nodiscard]] PruningType pruning_type() const override { return PruningType::global; }
  /// Type of the default mask. @throws ShapeError  (nothing broadcasts); StateError  without a mask
  [[nodiscard]] Tensor compute_mask(const Tensor& scores, const Tensor& default_mask) const override;
  [[nodiscard]] Tensor first_mask(const Tensor& scores, Dtype dtype) const override;

 private:
  Tensor mask_;
};

}  // namespace coppice::sparsity::prune
