#include "coppice/nn/quant/fake_quantize.h"

#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/nn/layers/container.h"
#include "coppice/nn/quant/histogram_observer.h"
#include "coppice/nn/quant/min_max_observer.h"
#include "coppice/nn/quant/passive_observers.h"
#include "coppice/nn/registry.h"
#include "coppice/nn/state_dict.h"

namespace {

using namespace coppice;
using namespace coppice::nn::quant;

constexpr ObserverOptions kWeights{.dtype = Dtype::qint8, .qscheme = QScheme::per_channel_symmetric};

TEST_SUITE("nn/quant/fake_quantize") {
  TEST_CASE("observes, takes over scale and zero point, and rounds") {
    const FakeQuantize fake(std::make_shared<MinMaxObserver>());
    const Tensor y = fake(Tensor::of({-1, 0, 2}));
    CHECK(fake.tensor("scale") == Tensor::of({0.0117647061f}));
    CHECK(fake.tensor("zero_point").item<std::int64_t>() == 85);
    CHECK(allclose(y, Tensor::of({-1, 0, 2})));
    CHECK(nn::state_dict(fake).find("activation_post_process.min_val") != nullptr);
    CHECK(fake.dtype() == Dtype::quint8);
  }

  TEST_CASE("observing and faking are switched for themselves, and on whole trees") {
    const auto fake = std::make_shared<FakeQuantize>(std::make_shared<MinMaxObserver>());
    nn::Sequential model({fake});
    (void)(*fake)(Tensor::of({-1, 2}));
    disable_observer(model);
    CHECK(allclose((*fake)(Tensor::of({8})), Tensor::of({2})));  // the range stays
    disable_fake_quant(model);
    CHECK((*fake)(Tensor::of({8})).item() == 8);
    enable_observer(model);
    (void)(*fake)(Tensor::of({8}));
    enable_fake_quant(model);
    CHECK((*fake)(Tensor::of({8})).item() == doctest::Approx(8).epsilon(0.01));
    CHECK(fake->observer_enabled());
    CHECK(fake->fake_quant_enabled());
  }

  TEST_CASE("fused: parameters of the forward pass are not those of conversion") {
    const auto forward = [](const Tensor& row, float scale, std::int64_t zero, float converted) {
      const FusedMovingAvgObsFakeQuantize fake(std::make_shared<MovingAveragePerChannelMinMaxObserver>(kWeights));
      (void)fake(row.reshape({1, -1}));
      CHECK(fake.tensor("scale") == Tensor::of({scale}));
      CHECK(fake.tensor("zero_point").item<std::int64_t>() == zero);
      CHECK(fake.calculate_qparams().scale == Tensor::of({converted}));
      CHECK(fake.calculate_qparams().zero_point.item() == 0);
    };
    forward(Tensor::of({0.5, -1, 0.25}), 0.0078125f, 0, 0.0078431377f);
    forward(Tensor::of({0.1, 0.2, 0.3}), 0.0011764707f, -128, 0.0023529413f);
    forward(Tensor::of({-0.1, -0.2, -0.3}), 0.0011764707f, 127, 0.0023529413f);
    forward(Tensor::of({0, 0, 0}), 0.1f, 127, 0x1p-23f);
    forward(Tensor::of({0.5, -0.25, 1.0}), 0.0078740157f, 0, 0.0078431377f);
    const FusedMovingAvgObsFakeQuantize activation({{"reduce_range", true}});
    (void)activation(Tensor::of({-1e-4, 2e-4}));
    CHECK(activation.tensor("scale") == Tensor::of({6.1e-5f}));
    CHECK(activation.tensor("zero_point").item() == 42);
    CHECK(activation.calculate_qparams().scale == Tensor::of({2.3622047e-06f}));
    CHECK(activation.calculate_qparams().zero_point.item() == 42);
  }

  TEST_CASE("the plain one has no such gap") {
    const FakeQuantize fake(std::make_shared<MovingAveragePerChannelMinMaxObserver>(kWeights));
    (void)fake(Tensor::of({{0.1, 0.2, 0.3}}));
    CHECK(fake.tensor("scale") == fake.calculate_qparams().scale);
  }

  TEST_CASE("fused with faking disabled leaves scale and zero point, and copies") {
    FusedMovingAvgObsFakeQuantize fake{nn::Arguments()};
    fake.disable_fake_quant();
    const Tensor x = Tensor::of({-1, 2});
    const Tensor y = fake(x);
    CHECK(y == x);
    CHECK_FALSE(y.is(x));
    CHECK(fake.tensor("scale").item() == 1);
    CHECK(fake.calculate_qparams().scale.item() != 1);
  }

  TEST_CASE("a stale range of weights after pruning") {
    const FusedMovingAvgObsFakeQuantize fake(std::make_shared<MovingAveragePerChannelMinMaxObserver>(kWeights));
    (void)fake(Tensor::of({{-1, 0.5}}));
    (void)fake(Tensor::of({{0, 0.5}}));
    CHECK(fake.calculate_qparams().scale == Tensor::of({0.0077647059f}));
  }

  TEST_CASE("what does not go together is refused") {
    CHECK_THROWS_AS(FakeQuantize(std::shared_ptr<ObserverBase>()), ValueError);
    CHECK_THROWS_AS(FakeQuantize(std::make_shared<MinMaxObserver>(ObserverOptions{.quant_min = -1, .quant_max = 255})),
                    ValueError);
    CHECK_THROWS_AS(FusedMovingAvgObsFakeQuantize(std::make_shared<HistogramObserver>()), ValueError);
    CHECK_THROWS_AS(FusedMovingAvgObsFakeQuantize(std::make_shared<MovingAveragePerChannelMinMaxObserver>(kWeights, 1)),
                    ValueError);
    CHECK_THROWS_AS(FakeQuantize({{"observer", std::string("Linear")}}), Error);
    CHECK_THROWS_AS(FakeQuantize({{"observr", std::string("MinMaxObserver")}}), KeyError);
  }

  TEST_CASE("fixed parameters can be faked") {
    nn::Arguments a = FixedQParamsObserver::range_0_to_1();
    a.set("observer", std::string("FixedQParamsObserver"));
    const FakeQuantize fake(a);
    CHECK(fake(Tensor::of({0.5, 2})) == Tensor::of({0.5, 255.0 / 256}));
  }

  TEST_CASE("arguments, clones and state dicts bring back what was learnt") {
    for (const char* type : {"FakeQuantize", "FusedMovingAvgObsFakeQuantize"}) {
      const nn::ModulePtr fake =
          nn::make_module(type, {{"observer", std::string("MovingAveragePerChannelMinMaxObserver")},
                                 {"dtype", std::string("qint8")},
                                 {"quant_min", std::int64_t{-128}},
                                 {"quant_max", std::int64_t{127}},
                                 {"qscheme", std::string("per_channel_symmetric")}});
      const Tensor x = Tensor::of({{1, 2}, {-3, 4}, {5, 6}});
      const Tensor y = (*fake)(x);
      const nn::ModulePtr again = nn::make_module(type, fake->arguments());
      nn::load_state_dict(*again, nn::state_dict(*fake));
      CHECK(again->tensor("scale").shape() == Shape{3});
      CHECK((*again)(x) == (*fake->clone())(x));
      CHECK((*again)(x) == y);
    }
  }
}

}  // namespace
