#pragma once
/// The training loop: samples in random order, a loss, an optimiser, and callbacks at its moments.

#include <cstdint>
#include <functional>
#include <memory>

#include "coppice/engine/ops/softmax.h"
#include "coppice/engine/random.h"
#include "coppice/sparsity/training/callback.h"
#include "coppice/sparsity/training/dataset.h"

namespace coppice::sparsity {

/// Loss of a batch, a single number, from the model's output and the targets.
using Loss = std::function<Tensor(const Tensor& output, const Tensor& target)>;

struct TrainerOptions {
  std::int64_t epochs = 1;  ///< at least 0
  std::int64_t batch = 64;  ///< samples of a step; the last one of an epoch has what is left: see steps_per_epoch()
  std::uint64_t seed = 0;   ///< of the order of the samples
};

/// Steps in which `samples` are gone through: full batches and one of what is left. If a single sample is left and the
/// model has a batch norm, which finds no variance in it, the batch before takes it in.
/// @param batch  at least 1
[[nodiscard]] std::int64_t steps_per_epoch(const nn::Module& model, std::int64_t samples, std::int64_t batch);

/// Trains with any loss and optimiser. Equal options and data give equal bytes for any number of threads.
class Trainer {
 public:
  /// @throws ValueError  for options outside their ranges
  explicit Trainer(const TrainerOptions& options, Loss loss = cross_entropy_loss());

  /// Calls the callbacks in the order in which they were added. @return  *this
  Trainer& add(std::shared_ptr<Callback> callback);

  /// Runs until all epochs are done or a callback asks to stop, which is looked at before every epoch.
  /// @param optimizer  over parameters of `model`
  /// @param data       x: [n, ...] and y: [n, ...], whatever the loss takes
  /// @throws ValueError  without samples, and for a loss that is not finite, naming epoch and step; ShapeError  for a
  ///         loss that is no single number; whatever model, loss and callbacks throw. on_exception() has run then, and
  ///         the model is as the last step left it.
  /// @return  where it ended; epoch counts those that are done
  TrainContext fit(nn::Module& model, nn::Optimizer& optimizer, const Dataset& data);

  [[nodiscard]] Generator& generator() { return generator_; }

  /// cross_entropy() of [n, classes] and [n].
  [[nodiscard]] static Loss cross_entropy_loss();

 private:
  void run(TrainContext& context, const Dataset& data) const;
  void run_epoch(TrainContext& context, const Dataset& data, std::int64_t batch) const;
  void run_batch(TrainContext& context, const Dataset& part) const;

  TrainerOptions options_;
  Loss loss_;
  Generator generator_;
  CallbackList callbacks_;
};

}  // namespace coppice::sparsity
