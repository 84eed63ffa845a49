#pragma once
/// The parametrization that multiplies by a mask: how sparsifiers prune without touching the weights.

#include "coppice/nn/module.h"

namespace coppice::nn {

/// mask * x, shape of both. It keeps out of state dicts: masks belong to whoever decides them, and strict loading of a
/// prepared model's own state dict misses them, as in PyTorch; model files hold them, one bit per entry.
///
/// Its buffer `mask` may be written in place, or replaced, between readings. A mask of bool or integers leaves the type
/// of x as it is. It stands in coppice-nn because a prepared model must load where nothing sparsifies any more.
/// Source: torch/ao/pruning/sparsifier/utils.py, FakeSparsity
class FakeSparsity final : public Implements<FakeSparsity> {
 public:
  static constexpr std::string_view kType = "FakeSparsity";
  /// Holds this very tensor. @throws TypeError  if it is undefined
  explicit FakeSparsity(Tensor mask);
  /// All ones of the given "shape" and "dtype".
  explicit FakeSparsity(const Arguments& a);
  [[nodiscard]] Arguments arguments() const override;
  [[nodiscard]] Tensor mask() const { return tensor("mask"); }
  [[nodiscard]] bool saves_state() const override { return false; }

 protected:
  /// @throws ShapeError  unless x has the shape of the mask
  [[nodiscard]] Tensor forward(const Tensor& x) const override;
};

}  // namespace coppice::nn
