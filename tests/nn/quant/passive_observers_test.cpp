#include "coppice/nn/quant/passive_observers.h"

#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/nn/registry.h"

namespace {

using namespace coppice;
using namespace coppice::nn::quant;

TEST_SUITE("nn/quant/passive_observers") {
  TEST_CASE("those that do not look have no scale") {
    for (const char* type : {"PlaceholderObserver", "NoopObserver", "ReuseInputObserver", "RecordingObserver"}) {
      CAPTURE(std::string(type));
      const auto observer = std::dynamic_pointer_cast<ObserverBase>(nn::make_module(type));
      const Tensor x = Tensor::of({1, 2});
      CHECK((*observer)(x).is(x));
      CHECK_THROWS_AS((void)observer->calculate_qparams(), StateError);
      CHECK(nn::make_module(type, observer->arguments())->arguments() == observer->arguments());
    }
  }

  TEST_CASE("a placeholder says which type is meant, and whether while running") {
    const PlaceholderObserver observer(Dtype::quint8, true);
    CHECK(observer.is_dynamic());
    CHECK(observer.dtype() == Dtype::quint8);
    CHECK(PlaceholderObserver(observer.arguments()).is_dynamic());
    CHECK_FALSE(PlaceholderObserver().is_dynamic());
  }

  TEST_CASE("a recorder keeps copies") {
    const RecordingObserver observer;
    Tensor x = Tensor::of({1, 2});
    (void)observer(x);
    x.fill_(0);
    (void)observer(x);
    REQUIRE(observer.get_tensor_value().size() == 2);
    CHECK(observer.get_tensor_value()[0] == Tensor::of({1, 2}));
  }

  TEST_CASE("fixed parameters") {
    const FixedQParamsObserver sigmoid(FixedQParamsObserver::range_0_to_1()),
        tanh(FixedQParamsObserver::range_neg1_to_1());
    CHECK(sigmoid.calculate_qparams().scale.item() == 1.0 / 256);
    CHECK(sigmoid.calculate_qparams().zero_point.item() == 0);
    CHECK(tanh.calculate_qparams().scale.item() == 2.0 / 256);
    CHECK(tanh.calculate_qparams().zero_point.item() == 128);
    CHECK(FixedQParamsObserver(tanh.arguments()).arguments() == tanh.arguments());
    CHECK_THROWS_AS(FixedQParamsObserver(0, 0), ValueError);
    CHECK_THROWS_AS(FixedQParamsObserver(1, 300), ValueError);
    CHECK_THROWS_AS(FixedQParamsObserver(1, 0, Dtype::quint8, 3, 3), ValueError);
  }
}

}  // namespace
