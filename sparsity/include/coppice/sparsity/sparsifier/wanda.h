#pragma once
/// Pruning by weights and activations.

#include <map>
#include <memory>
#include <optional>

#include "coppice/engine/tie_rule.h"
#include "coppice/nn/hooks.h"
#include "coppice/sparsity/sparsifier/base.h"

namespace coppice::sparsity {

/// Sums of squares of each input channel, over all that was seen: norm[c] = Σ x[…, c]².
/// Source: torchao/sparsity/wanda.py, PerChannelNormObserver
class ChannelNorms {
 public:
  /// Adds x: [..., channels]. Nothing for an empty tensor. @throws ShapeError  for a tensor without axes, or other
  /// channels than before
  void see(const Tensor& x);
  /// [channels], float32 (float64 if the inputs are); undefined if nothing was seen.
  [[nodiscard]] const Tensor& norm() const { return norm_; }

 private:
  Tensor norm_;
};

/// Prunes where |weight| · norm(input channel) is small: what the model sees between prepare() and step() calibrates
/// it.
///
/// Settings of a group: "sparsity_level", the share of the tensor's entries that goes, rounded down (layer-wide, as in
/// torchao); "per_row", false by default, true for that share of every row, as the method was published; or
/// "semi_structured_block_size" m, which prunes m / 2 of every m elements of the flattened tensor, whatever the level.
/// Levels outside 0..1 mean 0 and 1. Dense weights are ranked. As in torchao masks only lose entries, and activations
/// add up: a second step after other data may prune more than the level. Ties: the lower index goes first;
/// TieRule::pytorch follows torch.argsort.
///
/// step() is a StateError before calibration, a ShapeError for tensors of other than two axes, and a ValueError if m
/// does not divide their elements. squash_mask() and the destructor end the observation; attach() and copies go on from
/// what was seen. Source: torchao/sparsity/wanda.py, WandaSparsifier; Sun and others, "A Simple and Effective Pruning
/// Approach for Large Language Models", arXiv 2306.11695
class WandaSparsifier final : public BaseSparsifier {
 public:
  /// Warns that a block size fixes the level. @throws ValueError  if the level is NaN or the block size below 1
  explicit WandaSparsifier(double sparsity_level = 0.5,
                           std::optional<std::int64_t> semi_structured_block_size = std::nullopt,
                           TieRule ties = default_tie_rule());
  /// Knows what the other has seen, and sees nothing until it is attached to a model.
  WandaSparsifier(const WandaSparsifier& other);
  WandaSparsifier& operator=(const WandaSparsifier&) = delete;
  [[nodiscard]] std::string_view type_name() const override { return "WandaSparsifier"; }

  /// What was seen by the module of a prepared tensor. @throws KeyError  if it is not prepared
  [[nodiscard]] const ChannelNorms& observed(std::string_view tensor_fqn) const;

 protected:
  [[nodiscard]] std::unique_ptr<BaseSparsifier> copy() const override {
    return std::make_unique<WandaSparsifier>(*this);
  }
  void check_config(const Group& group) const override;
  void check_tensor(const Group& group) const override;
  void update_mask(Group& group) override;
  void on_prepared(Group& group) override;
  void on_squashed(Group& group) override;

 private:
  struct Observer {
    std::shared_ptr<ChannelNorms> norms;
    std::unique_ptr<nn::ScopedHook> hook;
  };
  TieRule ties_;
  std::map<std::string, Observer, std::less<>> observers_;
};

}  // namespace coppice::sparsity
