#pragma once
/// Methods that prune whole slices along one axis: rows, channels, filters.

#include "coppice/engine/ops/reduce.h"
#include "coppice/engine/tie_rule.h"
#include "coppice/sparsity/amount.h"
#include "coppice/sparsity/prune/method.h"

namespace coppice {
class Generator;
}

namespace coppice::sparsity::prune {

/// Prunes slices with the smallest of one uniform float32 draw per slice. TieRule::lowest_index prunes exactly the
/// amount; TieRule::pytorch, as PyTorch, every slice whose draw is not above the threshold.
class RandomStructured final : public Method {
 public:
  /// @param generator  must outlive the method; null: default_generator(). Not written to model files.
  explicit RandomStructured(Amount amount, std::int64_t dim = -1, TieRule ties = default_tie_rule(),
                            Generator* generator = nullptr)
      : amount_(amount), dim_(dim), ties_(ties), generator_(generator) {}
  [[nodiscard]] std::string_view type_name() const override { return "RandomStructured"; }
  [[nodiscard]] std::shared_ptr<Method> copy() const override { return std::make_shared<RandomStructured>(*this); }
  [[nodiscard]] PruningType pruning_type() const override { return PruningType::structured; }
  [[nodiscard]] std::optional<std::int64_t> dim() const override { return dim_; }
  [[nodiscard]] nn::Arguments arguments() const override;
  /// Type of the scores; the default mask itself if nothing is pruned.
  /// @throws ShapeError  below 2 axes; IndexError; ValueError  if a count exceeds the slices; in this order
  [[nodiscard]] Tensor compute_mask(const Tensor& scores, const Tensor& default_mask) const override;
  [[nodiscard]] Tensor first_mask(const Tensor& scores, Dtype dtype) const override;

 private:
  /// Zeros in the slices that go; undefined if none does.
  [[nodiscard]] Tensor slices(const Tensor& scores, const Shape& mask) const;

  Amount amount_;
  std::int64_t dim_;
  TieRule ties_;
  Generator* generator_;
};

/// Prunes the slices with the smallest norms of order `n`. Integers rank by their float64 values.
class LnStructured final : public Method {
 public:
  LnStructured(Amount amount, NormOrder n, std::int64_t dim = -1, TieRule ties = default_tie_rule())
      : amount_(amount), n_(n), dim_(dim), ties_(ties) {}
  [[nodiscard]] std::string_view type_name() const override { return "LnStructured"; }
  [[nodiscard]] std::shared_ptr<Method> copy() const override { return std::make_shared<LnStructured>(*this); }
  [[nodiscard]] PruningType pruning_type() const override { return PruningType::structured; }
  [[nodiscard]] std::optional<std::int64_t> dim() const override { return dim_; }
  [[nodiscard]] nn::Arguments arguments() const override;
  /// As RandomStructured; ValueError also if the norm does not suit the number of axes, even if nothing is pruned.
  [[nodiscard]] Tensor compute_mask(const Tensor& scores, const Tensor& default_mask) const override;
  [[nodiscard]] Tensor first_mask(const Tensor& scores, Dtype dtype) const override;

 private:
  /// Zeros in the slices that go; undefined if none does.
  [[nodiscard]] Tensor slices(const Tensor& scores, const Shape& mask) const;

  Amount amount_;
  NormOrder n_;
  std::int64_t dim_;
  TieRule ties_;
};

}  // namespace coppice::sparsity::prune
