#pragma once
// Which weights a sparsifier prunes while a model is fine-tuned, and which stay dense. Private to sparsity.

#include <vector>

#include "coppice/sparsity/training/callbacks/sparsifier_callback.h"
#include "coppice/sparsity/training/finetune.h"

namespace coppice::sparsity {

/// Whether the options ask for a sparsifier rather than GradualPruning.
[[nodiscard]] bool by_sparsifier(const FinetuneOptions& options);
/// @throws ValueError  for options that exclude each other
void check_plan(const FinetuneOptions& options);

struct LayerPlan {
  std::vector<LayerReport> layers;  ///< all weights, in the order of the model; zeros are not counted yet
  SparsifierConfig config;          ///< those that are pruned
  SparsifierFactory sparsifier;
  [[nodiscard]] bool prunes(const std::string& name) const;
};

/// @param model  without FakeSparsity
/// @throws ValueError  if nothing can be pruned, or not enough, or a group's tensor stands in several places; KeyError,
///         ShapeError  for groups that do not fit
[[nodiscard]] LayerPlan plan_layers(nn::Module& model, const FinetuneOptions& options, const WeightFilter& filter);

/// Makes plain parameters of those that are planned: their masks are burnt in, and found again as zeros.
void take_plain(nn::Module& model, const LayerPlan& plan);
/// X_orig and X_mask in the place of the sparsifier's masks; pruned entries are +0.
void leave_masks(const BaseSparsifier& sparsifier);
/// The layers with the zeros of the model.
[[nodiscard]] std::vector<LayerReport> counted(nn::Module& model, std::vector<LayerReport> layers);

}  // namespace coppice::sparsity
