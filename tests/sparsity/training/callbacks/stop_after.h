#pragma once
/// A training that ends in the middle of everything.

#include <cstdint>

#include "coppice/sparsity/training/callback.h"

namespace coppice::testing {

struct Stop {};

/// Throws Stop at the end of the epoch that completes so many.
class StopAfter final : public sparsity::Callback {
 public:
  explicit StopAfter(std::int64_t epochs) : epochs_(epochs) {}
  void on_train_epoch_end(sparsity::TrainContext& context) override {
    if (context.epoch + 1 == epochs_) throw Stop{};
  }

 private:
  std::int64_t epochs_;
};

}  // namespace coppice::testing
