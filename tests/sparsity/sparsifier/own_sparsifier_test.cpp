// The sparsifier that CONTRIBUTING.md shows, line by line (tests/docs/check.sh compares), and a scheduler for it.
#include <doctest/doctest.h>

#include <algorithm>

#include "coppice/sparsity/mask_ops.h"
#include "coppice/sparsity/scheduler/base.h"
#include "sparsity/sparsifier/masks.h"

using namespace coppice;
using namespace coppice::sparsity;
using namespace coppice::testing;

namespace {

/// Prunes the share "sparsity_level" of each tensor's rows, those with the smallest norms.
class RowNormSparsifier final : public BaseSparsifier {
 public:
  explicit RowNormSparsifier(double sparsity_level) : BaseSparsifier({{"sparsity_level", sparsity_level}}) {}
  [[nodiscard]] std::string_view type_name() const override { return "RowNormSparsifier"; }

 protected:
  void check_config(const Group& group) const override { (void)read_sparsity_level(group.config); }
  void update_mask(Group& group) override {
    const Tensor weight = group.weight(), norms = channel_norms(weight, 2, 0);
    const double level = std::clamp(read_sparsity_level(group.config), 0.0, 1.0);
    const auto count = static_cast<std::int64_t>(level * static_cast<double>(norms.numel()));
    group.mask().copy_(mask_channels(weight, norms, count, 0));
  }
};

/// Raises the level by a tenth of the base level per epoch.
class LinearSL final : public BaseScheduler {
 public:
  explicit LinearSL(BaseSparsifier& sparsifier) : BaseScheduler(sparsifier) { start(); }

 private:
  [[nodiscard]] std::vector<double> levels() const override {
    std::vector<double> out = base_sl();
    for (double& level : out) level *= std::min(1.0, static_cast<double>(last_epoch()) / 10);
    return out;
  }
};

}  // namespace

TEST_SUITE("sparsity/sparsifier/own_sparsifier") {
  TEST_CASE("one class with one function prunes, is refused bad settings, and follows a scheduler") {
    const Tensor w = Tensor::of({{3, 3}, {1, 1}, {4, 4}, {2, 2}});
    CHECK(mask_of(RowNormSparsifier(0.5), w) == Tensor::of({{1, 1}, {0, 0}, {1, 1}, {0, 0}}));
    CHECK(mask_of(RowNormSparsifier(2), w) == zeros({4, 2}));
    CHECK_THROWS_AS(Prepared<RowNormSparsifier>(RowNormSparsifier(0.5), w, {{"sparsity_level", true}}), TypeError);

    Prepared<RowNormSparsifier> p(RowNormSparsifier(0.5), w);
    LinearSL scheduler(p.sparsifier);
    CHECK(p.step() == ones({4, 2}));
    for (int epoch = 0; epoch < 5; ++epoch) scheduler.step();
    CHECK(p.step() == Tensor::of({{1, 1}, {0, 0}, {1, 1}, {1, 1}}));  // a quarter
    for (int epoch = 0; epoch < 20; ++epoch) scheduler.step();
    CHECK(p.step() == Tensor::of({{1, 1}, {0, 0}, {1, 1}, {0, 0}}));
  }
}
