#pragma once
/// The scheduler of PyTorch's test_data_scheduler.py.

#include "coppice/sparsity/data/base_data_scheduler.h"

namespace coppice::test {

/// Halves every level from epoch 1 on.
class HalfScheduler final : public sparsity::BaseDataScheduler {
 public:
  explicit HalfScheduler(sparsity::BaseDataSparsifier& sparsifier, const std::string& param = "sparsity_level",
                         std::int64_t last_epoch = -1, std::ostream* log = nullptr)
      : BaseDataScheduler(sparsifier, param, last_epoch, log) {
    start();
  }
  [[nodiscard]] Arguments get_schedule_param() const override {
    if (last_epoch() <= 0) return base_param();
    Arguments out;
    for (const std::string& name : data_sparsifier().names()) out.set(name, current(name) * 0.5);
    return out;
  }
};

}  // namespace coppice::test
