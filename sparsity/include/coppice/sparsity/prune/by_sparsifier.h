#pragma once
/// What a sparsifier decides, as a method of pruning.

#include "coppice/sparsity/prune/method.h"
#include "coppice/sparsity/sparsifier/kinds.h"

namespace coppice::sparsity::prune {

/// The mask of a sparsifier in one shot: `weight_orig` and `weight_mask` instead of a FakeSparsity that trains on.
///
/// On a tensor that is masked already the sparsifier ranks what the mask leaves, and the masks are multiplied: what is
/// pruned stays so and counts for the level, so that entries are pruned beyond it only where the level asks for more.
/// @code  prune::apply(layer, "weight", prune::BySparsifier("nm", {{"pattern", "2:4"}}));
class BySparsifier final : public Method {
 public:
  /// @param name  of a row of sparsifier_kinds()
  /// @param set   settings other than the defaults
  /// @throws KeyError, ValueError, TypeError  as sparsifier_kind() and settings_of()
  explicit BySparsifier(std::string_view name, const Arguments& set = {}, TieRule ties = default_tie_rule());

  [[nodiscard]] std::string_view type_name() const override { return "BySparsifier"; }
  [[nodiscard]] std::shared_ptr<Method> copy() const override { return std::make_shared<BySparsifier>(*this); }
  [[nodiscard]] PruningType pruning_type() const override { return PruningType::global; }
  /// "sparsifier", its settings, and "ties" if it has any.
  [[nodiscard]] nn::Arguments arguments() const override;
  /// @throws ShapeError, ValueError, DtypeError  for scores that the sparsifier cannot take
  [[nodiscard]] Tensor compute_mask(const Tensor& scores, const Tensor& default_mask) const override;
  [[nodiscard]] Tensor first_mask(const Tensor& scores, Dtype dtype) const override;

 private:
  const SparsifierKind* kind_;
  Arguments settings_;
  TieRule ties_;
  MaskMaker mask_;
};

}  // namespace coppice::sparsity::prune
