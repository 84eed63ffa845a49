#pragma once
/// Methods that prune single entries.

#include "coppice/engine/tie_rule.h"
#include "coppice/sparsity/amount.h"
#include "coppice/sparsity/prune/method.h"

namespace coppice {
class Generator;
}

namespace coppice::sparsity::prune {

/// Prunes nothing, but sets up the mask. PyTorch's prune.Identity and "Identity" in model files; the name has more to
/// it here, so that `Identity` is the layer nn::Identity under using-directives for both namespaces.
class IdentityMethod final : public Method {
 public:
  [[nodiscard]] std::string_view type_name() const override { return "Identity"; }
  [[nodiscard]] std::shared_ptr<Method> copy() const override { return std::make_shared<IdentityMethod>(*this); }
  /// The default mask itself.
  [[nodiscard]] Tensor compute_mask(const Tensor& scores, const Tensor& default_mask) const override;
  [[nodiscard]] Tensor first_mask(const Tensor& scores, Dtype dtype) const override;
};

/// Prunes entries with the largest of one uniform draw per entry, in the type of the scores (float32 for integers).
class RandomUnstructured final : public Method {
 public:
  /// @param generator  must outlive the method; null: default_generator(). Not written to model files.
  explicit RandomUnstructured(Amount amount, TieRule ties = default_tie_rule(), Generator* generator = nullptr)
      : amount_(amount), ties_(ties), generator_(generator) {}
  [[nodiscard]] std::string_view type_name() const override { return "RandomUnstructured"; }
  [[nodiscard]] std::shared_ptr<Method> copy() const override { return std::make_shared<RandomUnstructured>(*this); }
  [[nodiscard]] nn::Arguments arguments() const override;
  /// Type of the default mask. @throws ValueError  if a count exceeds the entries
  [[nodiscard]] Tensor compute_mask(const Tensor& scores, const Tensor& default_mask) const override;
  [[nodiscard]] Tensor first_mask(const Tensor& scores, Dtype dtype) const override;

 private:
  [[nodiscard]] Tensor draws(const Tensor& scores) const;

  Amount amount_;
  TieRule ties_;
  Generator* generator_;
};

/// Prunes the entries with the smallest magnitudes; NaN ranks above every number.
class L1Unstructured final : public Method {
 public:
  explicit L1Unstructured(Amount amount, TieRule ties = default_tie_rule()) : amount_(amount), ties_(ties) {}
  [[nodiscard]] Amount amount() const { return amount_; }
  [[nodiscard]] TieRule ties() const { return ties_; }
  [[nodiscard]] std::string_view type_name() const override { return "L1Unstructured"; }
  [[nodiscard]] std::shared_ptr<Method> copy() const override { return std::make_shared<L1Unstructured>(*this); }
  [[nodiscard]] nn::Arguments arguments() const override;
  /// Type of the default mask. @throws ValueError  if a count exceeds the entries
  [[nodiscard]] Tensor compute_mask(const Tensor& scores, const Tensor& default_mask) const override;
  [[nodiscard]] Tensor first_mask(const Tensor& scores, Dtype dtype) const override;

 private:
  Amount amount_;
  TieRule ties_;
};

}  // namespace coppice::sparsity::prune
