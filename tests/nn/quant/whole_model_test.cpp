#include "coppice/nn/quant/whole_model.h"

#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine.h"
#include "coppice/nn.h"

namespace {

using namespace coppice;
using namespace coppice::nn;
using namespace coppice::nn::quant;

ModulePtr sequence(std::initializer_list<ModulePtr> modules) { return std::make_shared<Sequential>(modules); }

ModulePtr network() {
  const ModulePtr model =
      sequence({std::make_shared<Conv2d>(1, 4, 3), std::make_shared<BatchNorm2d>(4), std::make_shared<ReLU>(),
                std::make_shared<MaxPool2d>(PoolOptions{.kernel = {2, 2}}), std::make_shared<Flatten>(),
                std::make_shared<Linear>(36, 10), std::make_shared<BatchNorm1d>(10), std::make_shared<ReLU>(),
                std::make_shared<Linear>(10, 3)});
  model->eval();
  return model;
}

std::string types(const Module& model) {
  std::string text;
  for (const auto& [name, child] : model.children()) text += cat(text.empty() ? "" : " ", child->type_name());
  return text;
}

TEST_SUITE("nn/quant/whole_model") {
  TEST_CASE("everything that can be fused is, a Linear with batch norm and ReLU in two steps") {
    const ModulePtr model = network(), fused = fuse_all(model);
    CHECK(types(*fused) ==
          "intrinsic.ConvReLU2d Identity Identity MaxPool2d Flatten intrinsic.LinearReLU Identity Identity Linear");
    const Tensor x = randn({2, 1, 8, 8});
    CHECK(allclose((*fused)(x), (*model)(x), Tolerance{1e-4, 1e-5}));
    CHECK(types(*model).starts_with("Conv2d BatchNorm2d"));
    const ModulePtr nested = sequence({sequence({std::make_shared<Linear>(2, 2), std::make_shared<ReLU>()})});
    nested->eval();
    CHECK(fuse_all(nested)->find_module("0.0")->type_name() == "intrinsic.LinearReLU");
  }

  TEST_CASE("a whole network, and what became of each layer") {
    const ModulePtr model = network();
    const Tensor x = randn({40, 1, 8, 8});
    for (const QEngine engine : {QEngine::x86, QEngine::qnnpack}) {
      const auto [converted, layers] = quantize_model(model, x, 16, engine);
      REQUIRE(layers.size() == 3);
      CHECK(layers[0].path == "module.0");
      CHECK(layers[0].type == "intrinsic.quantized.ConvReLU2d");
      CHECK(layers[2].type == "quantized.Linear");
      for (const QuantizedLayer& l : layers) {
        CHECK(l.scale > 0);
        CHECK(l.signal_to_noise > 20);
        CHECK(l.bytes < l.bytes_before);
      }
      CHECK(max_difference((*converted)(x), (*model)(x)) < 0.1);
      CHECK(dynamic_cast<const QuantizedLinear&>(*converted->find_module("module.8")).engine() == engine);
    }
    CHECK(default_qengine() == QEngine::x86);
    CHECK(model->child("0")->type_name() == "Conv2d");
    CHECK_FALSE(model->qconfig().has_value());
  }

  TEST_CASE("what does not run on integers is named") {
    const ModulePtr model =
        sequence({std::make_shared<Linear>(2, 2), std::make_shared<Sigmoid>(), std::make_shared<GELU>()});
    const auto left = not_quantizable(*model);
    REQUIRE(left.size() == 2);
    CHECK(left[0].path == "1");
    CHECK(left[0].type == "Sigmoid");
    CHECK_THROWS_WITH_AS((void)quantize_model(model, ones({1, 2})),
                         "[quantize_model] '1' is a Sigmoid, which does not run on integers; 1 more do not; dynamic "
                         "quantisation takes the Linear layers alone",
                         NotSupported);
    const auto [converted, layers] = quantize_model_dynamic(model, randn({8, 2}));
    REQUIRE(layers.size() == 1);
    CHECK(layers[0].scale == 0);
    CHECK(layers[0].signal_to_noise > 20);
    CHECK(quantize_model_dynamic(model, Tensor()).layers.size() == 1);
    const auto alone = quantize_model_dynamic(std::make_shared<Linear>(2, 2), Tensor());
    REQUIRE(alone.layers.size() == 1);
    CHECK(alone.layers[0].path == "0");
  }

  TEST_CASE("what cannot be calibrated is refused") {
    const ModulePtr model = network();
    CHECK_THROWS_AS((void)quantize_model(model, Tensor::empty({0, 1, 8, 8})), ValueError);
    CHECK_THROWS_AS((void)quantize_model(model, Tensor()), ValueError);
    CHECK_THROWS_AS((void)quantize_model(model, randn({2, 1, 8, 8}), 0), ValueError);
    CHECK_THROWS_AS((void)quantize_model(model, full({2, 1, 8, 8}, std::nan(""))), ValueError);
    CHECK_THROWS_AS((void)quantize_model(nullptr, ones({1})), ValueError);
    CHECK_THROWS_AS((void)fuse_all(nullptr), ValueError);
    CHECK_THROWS_AS((void)quantize_model_dynamic(sequence({std::make_shared<ReLU>()}), Tensor()), NotSupported);
  }
}

}  // namespace
