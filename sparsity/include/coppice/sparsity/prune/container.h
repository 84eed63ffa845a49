#pragma once
/// Several methods for one tensor, applied one after another.

#include <vector>

#include "coppice/sparsity/prune/method.h"

namespace coppice::sparsity::prune {

/// The new mask where the method only sees what its type leaves to it: entries whose mask is exactly 1 (as one axis,
/// row-major), slices along its dim whose mask does not sum to 0, or everything. Type of the scores; `mask` is not
/// written to.
/// @throws ShapeError; IndexError  for a dim that does not exist; KeyError  for a structured method without dim;
///         ValueError  for an unknown type, and what the method throws
/// Source: torch/nn/utils/prune.py, PruningContainer.compute_mask
[[nodiscard]] Tensor combine(const Method& method, const Tensor& scores, const Tensor& mask);

/// An ordered list of methods for one tensor. The mask is computed by the last one: what the earlier ones did is in
/// the default mask.
class PruningContainer final : public Method {
 public:
  PruningContainer() = default;
  /// Takes the tensor name of the first one that has one. @throws as add_pruning_method
  explicit PruningContainer(const std::vector<MethodPtr>& methods);

  /// @throws TypeError  if it is null; ValueError  if it is for a tensor of another name
  void add_pruning_method(MethodPtr method);
  [[nodiscard]] std::size_t size() const { return methods_.size(); }
  /// Negative positions count from the end. @throws IndexError
  [[nodiscard]] const MethodPtr& operator[](std::int64_t position) const;
  [[nodiscard]] auto begin() const { return methods_.begin(); }
  [[nodiscard]] auto end() const { return methods_.end(); }

  [[nodiscard]] std::string_view type_name() const override { return "PruningContainer"; }
  [[nodiscard]] std::shared_ptr<Method> copy() const override { return std::make_shared<PruningContainer>(*this); }
  /// combine() with the last method. @throws IndexError  if there is none
  [[nodiscard]] Tensor compute_mask(const Tensor& scores, const Tensor& default_mask) const override;
  [[nodiscard]] std::vector<nn::MaskStep> steps() const override;

 private:
  std::vector<MethodPtr> methods_;
};

}  // namespace coppice::sparsity::prune
