#pragma once
/// Training with masks kept, optionally while the sparsity rises.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "coppice/engine/io/limits.h"
#include "coppice/engine/tie_rule.h"
#include "coppice/nn/module.h"
#include "coppice/sparsity/scheduler/curve.h"
#include "coppice/sparsity/sparsifier/nm.h"
#include "coppice/sparsity/training/callbacks/best_epoch.h"
#include "coppice/sparsity/training/callbacks/gradual_pruning.h"
#include "coppice/sparsity/training/dataset.h"

namespace coppice::sparsity {

/// Steps of so many epochs can be counted.
inline constexpr std::int64_t kMostEpochs = 1'000'000'000;

struct FinetuneOptions {
  std::int64_t epochs = 30;  ///< 1 .. kMostEpochs
  std::int64_t batch = 64;
  double lr = 1e-3;
  enum class Optimizer { adam, adamw, sgd } optimizer = Optimizer::adam;
  double momentum = 0.9;  ///< sgd
  double weight_decay = 0;
  std::uint64_t seed = 0;
  double validation = 0.1;    ///< share of the training data held back to choose the best model, in [0, 1)
  std::int64_t patience = 8;  ///< epochs at the final sparsity without a better one before stopping; 0: never stop
  /// Sparsity to reach over all selected weights together, on a cubic schedule; nothing: existing zeros are kept.
  std::optional<double> sparsity;
  double ramp = 0.5;                   ///< share of the epochs after which the final sparsity is reached, in (0, 1]
  std::int64_t updates_per_epoch = 4;  ///< how often the masks are chosen anew inside the ramp
  /// Which of several equal weights or blocks goes.
  TieRule ties = default_tie_rule();

  // With one of the next three, or another curve than the cubic one, a sparsifier chooses what goes.
  /// What goes together: `sparsity` is reached in whole blocks, those of least mean square in all selected weights
  /// together (GlobalNormSparsifier). Weights that are narrower than a block stay dense, and the others make up for it.
  std::optional<Block> block = std::nullopt;
  /// n of every m neighbours of a row stay (NmSparsifier); says itself how sparse that is.
  std::optional<Pattern> pattern = std::nullopt;
  /// Tensors with levels and blocks of their own (WeightNormSparsifier), in the place of what `filter` selects.
  SparsifierConfig groups = {};
  Curve curve = Curve::cubic;  ///< how the level rises inside the ramp
  /// Chosen weights that have lost nothing keep a mask of ones, if they had none before.
  bool empty_masks = true;
  /// Written after every epoch; a run that finds it goes on from there and ends with the bytes that it would have had
  /// without the interruption. Nothing: no checkpoint. It is left when the run is done.
  std::filesystem::path checkpoint;
  ReadOptions read = {};  ///< how the checkpoint is read; it is never mapped
};

/// What became of a weight that a sparsifier could have pruned.
struct LayerReport {
  std::string name;  ///< "0.weight"
  std::int64_t weights = 0;
  std::int64_t zeros = 0;
  std::string dense_because;  ///< why the sparsifier left it alone; empty: it did not
  friend bool operator==(const LayerReport&, const LayerReport&) = default;
};

struct FinetuneReport {
  std::vector<EpochReport> epochs;
  std::int64_t best_epoch = 0;  ///< the one that the model holds afterwards
  bool stopped_early = false;
  std::vector<LayerReport> layers = {};  ///< of the model afterwards, if a sparsifier chose
};

/// Trains `model` with cross-entropy and leaves the best epoch in it, in eval mode.
///
/// Weights chosen by `filter` are masked (nn/masks/masked.h): existing masks, FakeSparsity's too, are kept, existing
/// zeros become masks, and with `options.sparsity` global magnitude pruning follows the cubic schedule of Zhu and Gupta
/// until `ramp` of the epochs; or a sparsifier prunes in blocks or patterns along any curve. Pruned entries stay at
/// zero; nothing that is masked returns. The best model is chosen by the validation part among the epochs at the final
/// sparsity: most correct, then lowest loss. Equal options and seed give equal bytes for any number of threads.
///
/// Where a sparsifier chooses, its weights train densely behind their masks, and every FakeSparsity of the model comes
/// back as X_orig and X_mask. Zeros and masks that were there stay beside what it prunes.
/// @param progress  called after every epoch; returning false stops as an early stop would
/// @throws ValueError  for options out of range or that exclude each other, a sparsity that the weights which take
///         blocks cannot give, a group whose tensor stands in several places of the model, or a loss that is not
///         finite; KeyError  for a group whose tensor is no weight of the model; ShapeError  for one without a second
///         axis; IndexError  for a class that the model does not have, naming the sample by its place in `train`;
///         FormatError for a checkpoint that is damaged or of another model, data or recipe; IoError; the model is then
///         as before the call
FinetuneReport finetune(nn::Module& model, const Dataset& train, const FinetuneOptions& options,
                        const WeightFilter& filter = is_prunable,
                        const std::function<bool(const EpochReport&)>& progress = {});

}  // namespace coppice::sparsity
