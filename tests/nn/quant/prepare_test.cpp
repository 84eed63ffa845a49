#include "coppice/nn/quant/prepare.h"

#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine.h"
#include "coppice/nn.h"

namespace {

using namespace coppice;
using namespace coppice::nn;
using namespace coppice::nn::quant;

ModulePtr sequence(std::initializer_list<ModulePtr> modules) { return std::make_shared<Sequential>(modules); }
ModulePtr linear() { return std::make_shared<Linear>(2, 2); }
bool observed(const ModulePtr& model, std::string_view path) {
  return model->find_module(path)->children().contains("activation_post_process");
}

TEST_SUITE("nn/quant/prepare") {
  TEST_CASE("a qconfig comes from above, the type, the path, or the module itself, the last winning") {
    const ModulePtr model = sequence({linear(), linear(), linear(), linear()});
    model->set_qconfig(default_qconfig());
    model->child("3")->set_qconfig(nullptr);
    propagate_qconfig_(*model,
                       {{"Linear", default_qat_qconfig()}, {"1", per_channel_dynamic_qconfig()}, {"3", nullptr}});
    CHECK(*model->child("0")->qconfig() == default_qat_qconfig());
    CHECK(*model->child("1")->qconfig() == per_channel_dynamic_qconfig());
    CHECK(*model->child("3")->qconfig() == nullptr);
    const ModulePtr bare = sequence({linear()});
    propagate_qconfig_(*bare);
    CHECK(bare->child("0")->qconfig().has_value());
    CHECK(*bare->child("0")->qconfig() == nullptr);
  }

  TEST_CASE("observers stand behind layers and stubs, not behind ReLU, Flatten, Dropout or DeQuantStub") {
    ModulePtr model =
        sequence({std::make_shared<QuantStub>(), linear(), std::make_shared<ReLU>(), std::make_shared<Flatten>(),
                  std::make_shared<Dropout>(0.5), linear(), std::make_shared<DeQuantStub>()});
    model->set_qconfig(default_qconfig());
    model->child("5")->set_qconfig(nullptr);
    const ModulePtr prepared = prepare(model);
    CHECK_FALSE(observed(model, "1"));
    CHECK(observed(prepared, "0"));
    CHECK(observed(prepared, "1"));
    for (const char* path : {"2", "3", "4", "5", "6"}) CHECK_FALSE(observed(prepared, path));
    prepared->eval();
    const Tensor x = Tensor::of({{1, -2}});
    (void)(*prepared)(x);
    CHECK(prepared->find_module("0.activation_post_process")->tensor("max_val").item() == 1);
    // Twice adds nothing.
    const ModulePtr again = prepare(prepared);
    CHECK(again->child("1")->forward_hooks().size() == 1);
  }

  TEST_CASE("the observer's hook comes before the others, and what it returns goes on") {
    ModulePtr model = sequence({linear()});
    model->child("0")->set_qconfig(default_qat_qconfig());
    TensorList seen;
    model->child("0")->register_forward_hook([&](const Module&, const TensorList&, const TensorList& out) {
      seen = out;
      return std::nullopt;
    });
    model = prepare(model, Mode::inplace);
    const Tensor y = (*model)(Tensor::of({{0.3, -0.7}}));
    REQUIRE(seen.size() == 1);
    CHECK(seen[0] == y);
    const auto& fake = dynamic_cast<const FakeQuantize&>(*model->find_module("0.activation_post_process"));
    const double steps = y.at({0, 0}) / fake.tensor("scale").item();
    CHECK(std::abs(steps - std::round(steps)) < 1e-3);  // on the grid
  }

  TEST_CASE("an observer of each batch alone watches inputs") {
    ModulePtr model = sequence({linear()});
    model->child("0")->set_qconfig(
        make_qconfig({"MovingAverageMinMaxObserver", {{"averaging_constant", 1.0}}}, default_qconfig()->weight));
    model = prepare(model, Mode::inplace);
    CHECK(model->child("0")->forward_pre_hooks().size() == 1);
    CHECK(model->child("0")->forward_hooks().empty());
    (void)(*model)(Tensor::of({{7, -3}}));
    CHECK(model->find_module("0.activation_post_process")->tensor("max_val").item() == 7);
  }

  TEST_CASE("results of a known range get it in training") {
    ModulePtr model = sequence({std::make_shared<Sigmoid>(), std::make_shared<Tanh>()});
    model->set_qconfig(default_qat_qconfig());
    const ModulePtr training = prepare(model);
    CHECK(training->find_module("0.activation_post_process.activation_post_process")->tensor("scale").item() ==
          1.0 / 256);
    CHECK(training->find_module("1.activation_post_process.activation_post_process")->tensor("scale").item() ==
          2.0 / 256);
    model->eval();
    CHECK_FALSE(observed(prepare(model), "0"));
  }

  TEST_CASE("training layers take the weights of the float ones, the same tensors, with their masks") {
    const auto fake = std::make_shared<Linear>(2, 2);
    const auto masked = std::make_shared<Conv2d>(1, 2, 3);
    const auto sparsity = std::make_shared<FakeSparsity>(Tensor::of({{1, 0}, {0, 1}}));
    parametrize::register_parametrization(*fake, "weight", sparsity);
    const Tensor mask = eq(randn({2, 1, 3, 3}), Tensor::of(5)).to(Dtype::f32);
    set_mask(*masked, "weight", mask);
    ModulePtr model = sequence({fake, masked});
    model->set_qconfig(get_default_qat_qconfig("fbgemm"));
    const Tensor original = parametrize::parametrizations_of(*fake, "weight").originals()[0];
    const ModulePtr prepared = prepare_qat(model, Mode::inplace);
    const Module &a = *prepared->child("0"), &b = *prepared->child("1");
    CHECK(a.type_name() == "qat.Linear");
    CHECK(b.type_name() == "qat.Conv2d");
    CHECK(parametrize::parametrizations_of(a, "weight").originals()[0].is(original));
    CHECK(parametrize::parametrizations_of(a, "weight").child("0") == sparsity);
    CHECK(is_masked(b, "weight"));
    CHECK(b.tensor("weight_orig").is(masked->tensor("weight_orig")));
    CHECK(a.tensor("bias").is(fake->tensor("bias")));
    CHECK(observed(prepared, "0"));
    // A second time adds nothing.
    const ModulePtr again = prepare_qat(prepared);
    CHECK(again->child("0")->forward_hooks().size() == 1);
    CHECK(again->child("0")->children().size() == a.children().size());
  }

  TEST_CASE("what cannot be prepared is refused, and nothing to do is a warning") {
    const CatchWarnings warnings;
    (void)prepare(sequence({linear()}));
    REQUIRE(warnings.texts().size() == 1);
    CHECK(warnings.texts()[0].starts_with("[prepare] no module has a qconfig"));
    const ModulePtr model = sequence({linear()});
    model->eval();
    CHECK_THROWS_AS((void)prepare_qat(model), StateError);
    CHECK_THROWS_AS((void)prepare(nullptr), ValueError);
    const ModulePtr lstm = sequence({std::make_shared<LSTM>(LstmSettings{.input_size = 2, .hidden_size = 2})});
    lstm->set_qconfig(default_qconfig());
    CHECK_THROWS_AS((void)prepare(lstm), NotSupported);
  }
}

}  // namespace
