#include "coppice/nn/quant/mappings.h"

#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/nn.h"

namespace {

using namespace coppice;
using namespace coppice::nn;
using namespace coppice::nn::quant;

TEST_SUITE("nn/quant/mappings") {
  TEST_CASE("types that are observed are those of the tables") {
    for (const char* type : {"Linear", "Conv1d", "Conv2d", "QuantStub", "qat.Linear", "intrinsic.LinearReLU", "LSTM"})
      CHECK(is_observed_type(type));
    for (const char* type : {"ReLU", "Flatten", "MaxPool2d", "Identity", "Sequential", "quantized.Linear"})
      CHECK_FALSE(is_observed_type(type));
  }

  TEST_CASE("what has no counterpart is refused by name") {
    const auto norm = std::make_shared<LayerNorm>(std::vector<std::int64_t>{2});
    CHECK_THROWS_WITH_AS((void)get_default_static_quant_module_mappings().at("LayerNorm")(norm),
                         "[convert] LayerNorm has no quantised form here; set its qconfig to null to leave it in float "
                         "between a DeQuantStub and a QuantStub",
                         NotSupported);
  }

  TEST_CASE("a program's table is one more row") {
    SwapTable table = get_default_dynamic_quant_module_mappings();
    table["ReLU"] = [](const ModulePtr&) { return std::make_shared<Identity>(); };
    const ModulePtr model = std::make_shared<Sequential>(
        std::initializer_list<ModulePtr>{std::make_shared<Linear>(2, 2), std::make_shared<ReLU>()});
    model->set_qconfig(default_dynamic_qconfig());
    propagate_qconfig_(*model);
    const ModulePtr converted = convert(model, table);
    CHECK(converted->child("0")->type_name() == "quantized.dynamic.Linear");
    CHECK(converted->child("1")->type_name() == "Identity");
  }

  TEST_CASE("a training layer without a qconfig is a StateError") {
    CHECK_THROWS_AS((void)get_default_qat_module_mappings().at("Linear")(std::make_shared<Linear>(2, 2)), StateError);
  }
}

}  // namespace
