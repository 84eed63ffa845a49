#include "coppice/nn/quant/stubs.h"

#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/nn.h"

namespace {

using namespace coppice;
using namespace coppice::nn;
using namespace coppice::nn::quant;

TEST_SUITE("nn/quant/stubs") {
  TEST_CASE("stubs pass their input on, and may carry a qconfig") {
    const Tensor x = Tensor::of({1, 2});
    CHECK(QuantStub()(x).is(x));
    CHECK(DeQuantStub()(x).is(x));
    CHECK_FALSE(QuantStub().qconfig().has_value());
    CHECK(*QuantStub(default_qconfig()).qconfig() == default_qconfig());
  }

  TEST_CASE("a wrapper has the children quant, dequant and module, and the qconfig of what it wraps") {
    const auto layer = std::make_shared<Linear>(2, 2);
    layer->set_qconfig(default_qconfig());
    const QuantWrapper wrapper(layer);
    CHECK(wrapper.child("module") == layer);
    CHECK(wrapper.child("quant")->type_name() == "QuantStub");
    CHECK(wrapper.child("dequant")->type_name() == "DeQuantStub");
    CHECK(*wrapper.qconfig() == default_qconfig());
    CHECK(wrapper(Tensor::of({{1, 2}})) == (*layer)(Tensor::of({{1, 2}})));
    CHECK_THROWS_AS(QuantWrapper{nullptr}, ValueError);
  }

  TEST_CASE("add_quant_dequant wraps leaves with a qconfig, masked ones too") {
    const auto masked = std::make_shared<Linear>(2, 2), plain = std::make_shared<Linear>(2, 2);
    masked->set_qconfig(default_qconfig());
    parametrize::register_parametrization(*masked, "weight", std::make_shared<FakeSparsity>(ones({2, 2})));
    ModulePtr model = std::make_shared<Sequential>(std::initializer_list<ModulePtr>{masked, plain});
    model = add_quant_dequant(model);
    CHECK(model->child("0")->type_name() == "QuantWrapper");
    CHECK(model->child("1") == plain);
    const ModulePtr alone = add_quant_dequant(masked);
    CHECK(alone->type_name() == "QuantWrapper");
  }
}

}  // namespace
