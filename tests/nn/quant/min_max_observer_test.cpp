#include "coppice/nn/quant/min_max_observer.h"

#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine.h"
#include "coppice/nn/registry.h"
#include "coppice/nn/state_dict.h"

namespace {

using namespace coppice;
using namespace coppice::nn::quant;

TEST_SUITE("nn/quant/min_max_observer") {
  TEST_CASE("batches widen the range, empty ones do not, and the input comes back as it is") {
    const MinMaxObserver observer;
    const Tensor x = Tensor::of({1, 3});
    CHECK(observer(x).is(x));
    (void)observer(Tensor::empty({0}));
    (void)observer(Tensor::of({-2}).to(Dtype::f16));
    CHECK(observer.tensor("min_val").item() == -2);
    CHECK(observer.tensor("max_val").item() == 3);
    CHECK_THROWS_AS(MinMaxObserver({.qscheme = QScheme::per_channel_affine}), NotSupported);
  }

  TEST_CASE("a reset observer has seen nothing") {
    MinMaxObserver observer;
    (void)observer(Tensor::of({1, 3}));
    observer.reset_min_max_vals();
    (void)observer(Tensor::of({5}));
    CHECK(observer.tensor("min_val").item() == 5);
    PerChannelMinMaxObserver channels;
    (void)channels(Tensor::of({{1, 3}, {2, 4}}));
    channels.reset_min_max_vals();
    CHECK(channels.tensor("min_val").shape() == Shape{0});
  }

  TEST_CASE("moving averages start at the first batch") {
    const MovingAverageMinMaxObserver half({}, 0.5), slow;
    for (const auto* observer : {&half, &slow}) {
      (void)(*observer)(Tensor::of({-1, 1}));
      (void)(*observer)(Tensor::of({-3, 2}));
    }
    CHECK(half.tensor("min_val").item() == -2);
    CHECK(half.tensor("max_val").item() == 1.5);
    CHECK(half.calculate_qparams().scale == Tensor::of({0.0137254903f}));
    CHECK(half.calculate_qparams().zero_point.item<std::int64_t>() == 146);
    CHECK(slow.tensor("min_val").item<float>() == -1.0199999809f);
    CHECK(slow.tensor("max_val").item<float>() == 1.0099999905f);
    CHECK(slow.calculate_qparams().scale == Tensor::of({0.0079607842f}));
    CHECK(slow.calculate_qparams().zero_point.item<std::int64_t>() == 128);
    CHECK_FALSE(half.is_memoryless());
    CHECK(MovingAverageMinMaxObserver({}, 1).is_memoryless());
    CHECK_THROWS_AS(MovingAverageMinMaxObserver({}, 1.5), ValueError);
  }

  TEST_CASE("averages of one number that rounding put in the wrong order are one number") {
    const MovingAverageMinMaxObserver observer;
    (void)observer(Tensor::of({0.1, 0.1}));
    observer.tensor("min_val").fill_(std::nextafter(0.1f, 1.0f));
    CHECK_NOTHROW((void)observer.calculate_qparams());
  }

  TEST_CASE("channels along any axis") {
    const Tensor x = Tensor::of({{0.5, -1, 0.25}, {0, 0, 0}, {0.1, 0.2, 0.3}});
    constexpr ObserverOptions kWeights{.dtype = Dtype::qint8, .qscheme = QScheme::per_channel_symmetric};
    const PerChannelMinMaxObserver rows(kWeights), columns(kWeights, 1);
    (void)rows(x);
    (void)columns(x);
    CHECK(rows.calculate_qparams().scale == Tensor::of({0.0078431377f, 1.1920929e-07f, 0.0023529413f}));
    CHECK(columns.calculate_qparams().scale == Tensor::of({0.0039215689f, 0.0078431377f, 0.0023529413f}));
    CHECK_THROWS_AS((void)rows(ones({2, 3})), ShapeError);
    CHECK_THROWS_AS((void)columns(ones({3})), IndexError);
    CHECK_THROWS_AS(PerChannelMinMaxObserver({.qscheme = QScheme::per_tensor_affine}), NotSupported);
    CHECK_THROWS_AS(PerChannelMinMaxObserver(kWeights, -1), ValueError);
    CHECK(rows.calculate_qparams().zero_point.dtype() == Dtype::i64);
  }

  TEST_CASE("embeddings: zero points that are no integers") {
    const PerChannelMinMaxObserver observer({.qscheme = QScheme::per_channel_affine_float_qparams});
    (void)observer(Tensor::of({{1, 3}, {2, 2}}));
    const auto [scale, zero] = observer.calculate_qparams();
    CHECK(scale == Tensor::of({2.0f / 255, 1}));
    CHECK(zero == Tensor::of({-1.0f / (2.0f / 255), -2}));
  }

  TEST_CASE("arguments, clones and state dicts bring back what was seen") {
    for (const char* type : {"MinMaxObserver", "MovingAverageMinMaxObserver", "PerChannelMinMaxObserver",
                             "MovingAveragePerChannelMinMaxObserver"}) {
      CAPTURE(std::string(type));
      const nn::ModulePtr observer = nn::make_module(type);
      (void)(*observer)(Tensor::of({{-1, 2}, {3, 4}}));
      const nn::ModulePtr again = nn::make_module(type, observer->arguments());
      CHECK(again->arguments() == observer->arguments());
      nn::load_state_dict(*again, nn::state_dict(*observer));
      for (const nn::ModulePtr& copy : {again, observer->clone()}) {
        const auto& a = dynamic_cast<const ObserverBase&>(*copy);
        const auto& b = dynamic_cast<const ObserverBase&>(*observer);
        CHECK(a.calculate_qparams().scale == b.calculate_qparams().scale);
      }
    }
  }

  TEST_CASE("minima and maxima of different numbers of channels are refused, not read beyond their end") {
    for (const char* type : {"PerChannelMinMaxObserver", "FusedMovingAvgObsFakeQuantize"}) {
      CAPTURE(std::string(type));
      nn::Arguments a;
      if (std::string(type) != "PerChannelMinMaxObserver")
        a = {{"observer", std::string("MovingAveragePerChannelMinMaxObserver")}};
      const nn::ModulePtr observer = nn::make_module(type, a);
      nn::Module& range = a.empty() ? *observer : *observer->child("activation_post_process");
      range.tensor("min_val").replace_(Tensor::of({0, 0, 0, 0}));
      range.tensor("max_val").replace_(Tensor::of({1, 1}));
      CHECK_THROWS_AS((void)(*observer)(ones({4, 3})), ShapeError);
      CHECK_THROWS_AS((void)(*observer)(ones({2, 3})), ShapeError);
      CHECK_THROWS_AS((void)dynamic_cast<const ObserverBase&>(*observer).calculate_qparams(), StateError);
    }
  }

  TEST_CASE("the same range for any number of threads") {
    Generator generator(5);
    Tensor x = Tensor::empty({500, 400});
    generator.normal(x.mutable_data<float>());
    const int before = num_threads();
    for (const int threads : {1, 2, 7}) {
      set_num_threads(threads);
      const MinMaxObserver whole;
      const PerChannelMinMaxObserver channels;
      (void)whole(x);
      (void)channels(x);
      CHECK(whole.tensor("max_val").item() == max(x).item());
      CHECK(min(channels.tensor("min_val")).item() == min(x).item());
    }
    set_num_threads(before);
  }
}

}  // namespace
