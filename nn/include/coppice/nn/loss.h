#pragma once

#include "coppice/engine/ops/softmax.h"
#include "coppice/nn/module.h"

namespace coppice::nn {

/// -log softmax of the target class. Inputs: logits [n, classes] and target [n] of any integer type. Formula:
/// ops/softmax.h.
class CrossEntropyLoss final : public Implements<CrossEntropyLoss, Module> {
 public:
  static constexpr std::string_view kType = "CrossEntropyLoss";
  explicit CrossEntropyLoss(Reduction reduction = Reduction::mean) : reduction_(reduction) {}
  /// @throws ValueError  unless reduction is 'none', 'mean' or 'sum'
  explicit CrossEntropyLoss(const Arguments& a);
  [[nodiscard]] Arguments arguments() const override;
  [[nodiscard]] Tensor operator()(const Tensor& logits, const Tensor& target) const;
  using Module::operator();

 protected:
  [[nodiscard]] TensorList forward(const TensorList& inputs) const override;

 private:
  Reduction reduction_;
};

/// (input - target)². Inputs: two tensors of one shape.
class MSELoss final : public Implements<MSELoss, Module> {
 public:
  static constexpr std::string_view kType = "MSELoss";
  explicit MSELoss(Reduction reduction = Reduction::mean) : reduction_(reduction) {}
  /// @throws ValueError  unless reduction is 'none', 'mean' or 'sum'
  explicit MSELoss(const Arguments& a);
  [[nodiscard]] Arguments arguments() const override;
  [[nodiscard]] Tensor operator()(const Tensor& input, const Tensor& target) const;
  using Module::operator();

 protected:
  [[nodiscard]] TensorList forward(const TensorList& inputs) const override;

 private:
  Reduction reduction_;
};

}  // namespace coppice::nn
