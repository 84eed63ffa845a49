// Normalising layers: statistics, modes, shapes. Values: PyTorch 2.13.
#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "support/approx.h"

using namespace coppice;
using namespace coppice::nn;
using coppice::testing::differs;

namespace {
/// [n, 1]
Tensor column(std::initializer_list<double> values) { return Tensor::of(values).reshape({-1, 1}); }
}  // namespace

TEST_SUITE("nn/layers/norm") {
  TEST_CASE("BatchNorm: running statistics by momentum, or as the mean of all batches") {
    BatchNorm1d m(BatchNormSettings{.features = 1, .momentum = 0.5});
    const NoGrad off;
    CHECK(differs(m(column({1, 3})), column({-1, 1}), Tolerance{1e-4, 1e-4}) == "");
    CHECK(m.tensor("running_mean") == Tensor::of({1}));
    CHECK(m.tensor("running_var") == Tensor::of({1.5}));
    BatchNorm1d all(BatchNormSettings{.features = 1, .momentum = std::nullopt});
    (void)all(column({1, 3}));
    (void)all(column({5, 9}));
    CHECK(all.tensor("running_mean") == Tensor::of({4.5}));
    CHECK(all.tensor("running_var") == Tensor::of({5}));
    CHECK(all.tensor("num_batches_tracked").item<std::int64_t>() == 2);
    all.eval();
    CHECK(differs(all(column({4.5})), column({0})) == "");
    CHECK(all.tensor("num_batches_tracked").item<std::int64_t>() == 2);
  }

  TEST_CASE("BatchNorm without statistics uses the batch's in both modes; one value cannot be normalised in training") {
    BatchNorm1d m(BatchNormSettings{.features = 1, .track_running_stats = false});
    const NoGrad off;
    const Tensor x = column({1, 3}), trained = m(x);
    m.eval();
    CHECK(m(x) == trained);
    CHECK(m.own_buffers().empty());
    BatchNorm1d plain(1);
    CHECK_THROWS_AS((void)plain(column({1})), ValueError);
    CHECK(plain.tensor("num_batches_tracked").item<std::int64_t>() == 0);
    plain.eval();
    CHECK_NOTHROW((void)plain(column({1})));
    CHECK_THROWS_AS((void)plain(ones({2, 2})), ShapeError);
    CHECK_THROWS_AS((void)plain(ones({2})), ShapeError);
    CHECK_THROWS_AS((void)BatchNorm2d(1)(ones({2, 1})), ShapeError);
    CHECK_THROWS_AS(BatchNorm1d(0), ValueError);
  }

  TEST_CASE("LayerNorm checks the end of the shape, and has as many tensors as it is told") {
    CHECK(LayerNorm({2, 3}).parameters().size() == 2);
    CHECK(LayerNorm({3}, 1e-5, true, false).parameters().size() == 1);
    CHECK(LayerNorm({3}, 1e-5, false).parameters().empty());
    CHECK_THROWS_AS((void)LayerNorm({2, 3})(ones({3, 2})), ShapeError);
    CHECK_THROWS_AS((void)LayerNorm({2, 3})(ones({3})), ShapeError);
    CHECK_THROWS_AS(LayerNorm(std::vector<std::int64_t>{}), ValueError);
  }
}
