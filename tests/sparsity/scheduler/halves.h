#pragma once
/// The scheduler of the original tests, and a sparsifier for it.

#include "coppice/sparsity/scheduler/base.h"
#include "coppice/sparsity/sparsifier/weight_norm.h"
#include "sparsity/sparsifier/models.h"

namespace coppice::testing {

/// Half of each group's level once the first epoch is over; the base level until then.
class ImplementedScheduler final : public sparsity::BaseScheduler {
 public:
  explicit ImplementedScheduler(sparsity::BaseSparsifier& sparsifier, std::ostream* verbose = nullptr)
      : BaseScheduler(sparsifier, -1, verbose) {
    start();
  }
  [[nodiscard]] std::string_view type_name() const override { return "ImplementedScheduler"; }

 protected:
  [[nodiscard]] std::vector<double> levels() const override {
    if (last_epoch() <= 0) return base_sl();
    std::vector<double> out;
    for (const sparsity::Group& group : sparsifier().groups())
      out.push_back(group.config.number("sparsity_level") * 0.5);
    return out;
  }
};

/// Two prepared layers with these levels.
struct TwoGroups {
  nn::ModulePtr model = simple_linear();
  sparsity::WeightNormSparsifier sparsifier{0.5, {1, 1}};
  explicit TwoGroups(double first = 0.8, double second = 0.4) {
    sparsifier.prepare(
        model, {at("linear1.weight", {{"sparsity_level", first}}), at("linear2.weight", {{"sparsity_level", second}})});
  }
  [[nodiscard]] std::vector<double> levels() const {
    std::vector<double> out;
    for (const sparsity::Group& group : sparsifier.groups()) out.push_back(group.config.number("sparsity_level"));
    return out;
  }
};

}  // namespace coppice::testing
