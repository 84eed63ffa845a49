#pragma once
// The two hooks of an activation sparsifier, and what they share with it. Private to sparsity.

#include <memory>
#include <optional>
#include <vector>

#include "coppice/sparsity/activation/activation_sparsifier.h"
#include "inputs.h"

namespace coppice::sparsity {

/// What has come of the inputs of one layer. The hook outlives the sparsifier where it applies a mask.
struct ActivationSparsifier::Collected {
  Mask mask;
  std::optional<std::vector<TensorList>> states;  // of the aggregator, since the last step

  /// The masks of a step, as the same tensor objects; the next pass begins anew. Takes nothing that could fail.
  void take(const TensorList& masks);
};

/// Called before a layer that collects.
struct CollectHook {
  std::shared_ptr<ActivationSparsifier::Collected> collected;
  AggregateFunction aggregate;
  std::optional<FeatureAxis> axis;

  std::optional<TensorList> operator()(const nn::Module& layer, const TensorList& inputs) const;
};

/// Called before a layer that is masked: replaces the first input.
struct MaskHook {
  ActivationSparsifier::Mask mask;
  std::optional<FeatureAxis> axis;
  bool in_place = false;

  std::optional<TensorList> operator()(const nn::Module& layer, const TensorList& inputs) const;
};

}  // namespace coppice::sparsity
