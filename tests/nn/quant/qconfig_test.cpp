#include "coppice/nn/quant/qconfig.h"

#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/nn/layers/linear.h"

namespace {

using namespace coppice;
using namespace coppice::nn::quant;

struct Expected {
  const char* backend;
  QLimits activation;
  QScheme weight;
};
constexpr Expected kBackends[] = {{"fbgemm", {0, 127}, QScheme::per_channel_symmetric},
                                  {"x86", {0, 127}, QScheme::per_channel_symmetric},
                                  {"onednn", {0, 255}, QScheme::per_channel_symmetric},
                                  {"qnnpack", {0, 255}, QScheme::per_tensor_symmetric}};

TEST_SUITE("nn/quant/qconfig") {
  TEST_CASE("defaults of each backend after training and for training") {
    for (const Expected& e : kBackends) {
      CAPTURE(std::string(e.backend));
      for (const QConfigPtr& q : {get_default_qconfig(e.backend), get_default_qat_qconfig(e.backend),
                                  get_default_qat_qconfig(e.backend, 0)}) {
        const auto activation = q->activation(), weight = q->weight();
        CHECK(activation->dtype() == Dtype::quint8);
        CHECK(activation->qscheme() == QScheme::per_tensor_affine);
        CHECK(activation->limits() == e.activation);
        CHECK(weight->dtype() == Dtype::qint8);
        CHECK(weight->qscheme() == e.weight);
        CHECK(weight->limits() == QLimits{-128, 127});
      }
      CHECK(get_default_qconfig(e.backend)->activation.type == "HistogramObserver");
      CHECK(get_default_qat_qconfig(e.backend)->activation.type == "FusedMovingAvgObsFakeQuantize");
      CHECK(get_default_qat_qconfig(e.backend, 0)->weight.type == "FakeQuantize");
    }
    CHECK(*get_default_qconfig() == *get_default_qconfig("fbgemm"));
    CHECK_FALSE(*get_default_qconfig() == *get_default_qconfig("qnnpack"));
    CHECK_THROWS_WITH_AS((void)get_default_qconfig("cuda"),
                         "[get_default_qconfig] backend must be fbgemm, x86, qnnpack or onednn; got 'cuda'",
                         ValueError);
    CHECK_THROWS_AS((void)get_default_qconfig("x86", 1), ValueError);
    CHECK_THROWS_AS((void)get_default_qat_qconfig("x86", 2), ValueError);
  }

  TEST_CASE("every preset makes its observers") {
    for (const QConfigPtr& q :
         {default_qconfig(), default_per_channel_qconfig(), default_qat_qconfig(), default_qat_qconfig_v2(),
          default_dynamic_qconfig(), per_channel_dynamic_qconfig(), float16_dynamic_qconfig(), float16_static_qconfig(),
          float_qparams_weight_only_qconfig(), float_qparams_weight_only_qconfig_4bit(), default_weight_only_qconfig(),
          default_activation_only_qconfig(), default_symmetric_qnnpack_qconfig(),
          default_per_channel_symmetric_qnnpack_qconfig(), default_symmetric_qnnpack_qat_qconfig(),
          default_per_channel_symmetric_qnnpack_qat_qconfig()}) {
      CAPTURE(to_string(*q));
      CHECK(q->activation() != nullptr);
      CHECK(q->weight() != nullptr);
    }
    CHECK(default_qconfig()->activation()->limits() == QLimits{0, 127});
    CHECK(default_symmetric_qnnpack_qconfig()->activation()->dtype() == Dtype::qint8);
    CHECK(default_symmetric_qnnpack_qconfig()->weight()->limits() == QLimits{-127, 127});
    CHECK(default_dynamic_qconfig()->activation()->is_dynamic());
    CHECK(float_qparams_weight_only_qconfig_4bit()->weight()->dtype() == Dtype::quint4x2);
  }

  TEST_CASE("factories are data: compared, printed, changed, and fresh at each call") {
    const ObserverFactory f{"MinMaxObserver", {{"dtype", std::string("qint8")}}};
    CHECK(f == ObserverFactory{"MinMaxObserver", {{"dtype", std::string("qint8")}}});
    const ObserverFactory g = f.with_args({{"dtype", std::string("quint8")}, {"reduce_range", true}});
    CHECK_FALSE(f == g);
    CHECK(g()->limits() == QLimits{0, 127});
    CHECK(f() != f());
    CHECK(to_string(f) == "MinMaxObserver{'dtype': 'qint8'}");
    CHECK(to_string(QConfig{f, {"NoopObserver", {}}}) ==
          "QConfig(activation=MinMaxObserver{'dtype': 'qint8'}, weight=NoopObserver)");
    CHECK_THROWS_AS((void)ObserverFactory({"Identity", {}})(), ValueError);
    CHECK_THROWS_AS((void)ObserverFactory({"MinMaxObservr", {}})(), KeyError);
    CHECK_THROWS_AS((void)f.with_args({{"bins", std::int64_t{3}}})(), KeyError);
  }

  TEST_CASE("a module has one, none, or null") {
    nn::Linear layer(2, 2);
    CHECK_FALSE(layer.qconfig().has_value());
    layer.set_qconfig(nullptr);
    CHECK(layer.qconfig().has_value());
    CHECK(*layer.qconfig() == nullptr);
    layer.set_qconfig(default_qconfig());
    CHECK(**layer.clone()->qconfig() == *default_qconfig());
    layer.set_qconfig(std::nullopt);
    CHECK_FALSE(layer.qconfig().has_value());
  }
}

}  // namespace
