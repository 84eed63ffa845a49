#pragma once

#include <functional>
#include <iosfwd>
#include <memory>

#include "coppice/sparsity/data/base_data_sparsifier.h"
#include "coppice/sparsity/prunable.h"
#include "coppice/sparsity/training/callback.h"

namespace coppice::sparsity {

/// Makes the data sparsifier of a training, without data: PyTorch's class and arguments.
/// `[] { return std::make_unique<DataNormSparsifier>(DataNormOptions{.sparsity_level = 0.9}); }`
using DataSparsifierFactory = std::function<std::unique_ptr<BaseDataSparsifier>()>;

/// Prunes a copy of the model when a training is over: all its parameters, biases too, once. The model stays as it is.
/// Source: torch/ao/pruning/_experimental/data_sparsifier/lightning/callbacks/data_sparsity.py
class PostTrainingDataSparsity final : public Callback {
 public:
  /// @param select  which parameters take part, by name and values; every one by default. Sparsifiers of blocks refuse
  ///                those of more than two axes, such as kernels of convolutions
  /// @param log     gets a line for each parameter; null for nowhere
  /// @throws ValueError  without a factory
  explicit PostTrainingDataSparsity(DataSparsifierFactory data_sparsifier, WeightFilter select = {},
                                    std::ostream* log = nullptr);

  /// Null before the end of a training.
  [[nodiscard]] const std::shared_ptr<BaseDataSparsifier>& data_sparsifier() const { return data_sparsifier_; }
  /// The pruned copy, in eval mode; its parameters are the sparsifier's data. Null before the end of a training.
  [[nodiscard]] const nn::ModulePtr& sparsified() const { return sparsified_; }

  /// Makes both anew. They stay what they were if it throws.
  /// @throws StateError  without a model; ValueError  for a factory that makes nothing, and as attach_model(); and
  ///         what the sparsifier refuses
  void on_fit_end(TrainContext& context) override;

 private:
  DataSparsifierFactory make_;
  WeightFilter select_;
  std::ostream* log_;
  std::shared_ptr<BaseDataSparsifier> data_sparsifier_;
  nn::ModulePtr sparsified_;
};

}  // namespace coppice::sparsity
