#include "coppice/nn/quant/convert.h"

#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine.h"
#include "coppice/nn.h"

namespace {

using namespace coppice;
using namespace coppice::nn;
using namespace coppice::nn::quant;
using Integers = std::vector<std::int64_t>;

ModulePtr sequence(std::initializer_list<ModulePtr> modules) { return std::make_shared<Sequential>(modules); }
Integers integers_of(const Tensor& q) { return int_repr(q).to_vector<std::int64_t>(); }

const Tensor kInput = Tensor::of({{1, 2}, {-1, 0.5}, {0, 0}, {3, -1}});

/// W = {{1, -2}, {0.5, 0.25}}, b = {0.3, -0.7}
std::shared_ptr<Linear> layer() {
  auto linear = std::make_shared<Linear>(2, 2);
  const NoGrad guard;
  linear->tensor("weight").copy_(Tensor::of({{1, -2}, {0.5, 0.25}}));
  linear->tensor("bias").copy_(Tensor::of({0.3, -0.7}));
  return linear;
}

QConfigPtr reduced() {
  return make_qconfig({"MinMaxObserver", {{"reduce_range", true}}}, get_default_qconfig("fbgemm")->weight);
}

const QuantizedLinear& quantised(const ModulePtr& model, std::string_view path) {
  return dynamic_cast<const QuantizedLinear&>(*model->find_module(path));
}

TEST_SUITE("nn/quant/convert") {
  TEST_CASE("a whole static chain, fused and not") {
    ModulePtr model =
        sequence({std::make_shared<QuantStub>(), layer(), std::make_shared<ReLU>(), std::make_shared<DeQuantStub>()});
    model->set_qconfig(reduced());
    model->eval();
    const auto run = [](Module& m) { (void)m(kInput); };
    const ModulePtr plain = quantize(model, run);
    CHECK(plain->child("0")->tensor("scale") == Tensor::of({0.0314960629f}));
    CHECK(plain->child("0")->tensor("zero_point").item() == 32);
    CHECK(integers_of((*plain->child("0"))(kInput)) == Integers{64, 96, 0, 48, 32, 32, 127, 0});
    CHECK(integers_of(quantised(plain, "1").weight()) == Integers{64, -127, 127, 64});
    CHECK(allclose(q_per_channel_scales(quantised(plain, "1").weight()),
                   Tensor::of({0.0156862754, 0.0039215689}).to(Dtype::f64)));
    CHECK(quantised(plain, "1").scale() == doctest::Approx(0.0629921257).epsilon(1e-8));
    CHECK(quantised(plain, "1").zero_point() == 43);
    CHECK(allclose((*plain)(kInput), Tensor::of({{0, 0.31496063}, {0, 0}, {0.31496063, 0}, {5.29133844, 0.5669291}})));

    const ModulePtr fused = quantize(fuse_modules(model, {{"1", "2"}}), run);
    CHECK(quantised(fused, "1").type_name() == "intrinsic.quantized.LinearReLU");
    CHECK(quantised(fused, "1").scale() == doctest::Approx(0.0417322852).epsilon(1e-8));
    CHECK(quantised(fused, "1").zero_point() == 0);
    const Tensor y = (*fused->child("1"))((*fused->child("0"))(kInput));
    CHECK(integers_of(y) == Integers{0, 7, 0, 0, 7, 0, 127, 13});
    CHECK(allclose((*fused)(kInput), Tensor::of({{0, 0.292126}, {0, 0}, {0.292126, 0}, {5.3, 0.54251969}}),
                   Tolerance{1e-5, 1e-6}));
    CHECK(model->child("1")->type_name() == "Linear");
  }

  TEST_CASE("training with rounding, then conversion: scales of forward and of conversion differ") {
    ModulePtr model = sequence({std::make_shared<QuantStub>(), layer(), std::make_shared<DeQuantStub>()});
    model->set_qconfig(get_default_qat_qconfig("fbgemm"));
    ModulePtr prepared = prepare_qat(model);
    const Tensor y = (*prepared)(kInput);
    const Module& fake = *prepared->find_module("1.weight_fake_quant");
    CHECK(fake.tensor("scale") == Tensor::of({0.015625f, 0.0019607844f}));
    CHECK(fake.tensor("zero_point").to(Dtype::i64) == Tensor::of({0, -128}).to(Dtype::i64));
    const Module& out = *prepared->find_module("1.activation_post_process");
    CHECK(out.tensor("scale") == Tensor::of({0.0632401258f}));
    CHECK(out.tensor("zero_point").item() == 43);
    CHECK(allclose(
        y, Tensor::of(
               {{-2.719325, 0.3162006}, {-1.7074834, -1.0750822}, {0.3162006, -0.6956414}, {5.3121705, 0.5691612}})));
    sum(y).backward();
    CHECK(prepared->child("1")->tensor("weight").grad().defined());
    const ModulePtr converted = convert(prepared);
    CHECK(integers_of(quantised(converted, "1").weight()) == Integers{64, -127, 127, 64});
    CHECK((*converted)(kInput).at({3, 1}) == doctest::Approx(0.5059210).epsilon(1e-6));
  }

  TEST_CASE("hooks of a program go along, observers and qconfigs do not") {
    ModulePtr model = sequence({std::make_shared<QuantStub>(), layer(), std::make_shared<DeQuantStub>()});
    model->set_qconfig(reduced());
    int calls = 0;
    model->child("1")->register_forward_hook([&](const Module&, const TensorList&, const TensorList&) {
      ++calls;
      return std::nullopt;
    });
    model = prepare(model, Mode::inplace);
    (void)(*model)(kInput);
    model = convert(model, Mode::inplace);
    calls = 0;
    (void)(*model)(kInput);
    CHECK(calls == 1);
    CHECK(model->child("1")->forward_hooks().size() == 1);
    for (const auto& [path, module] : model->named_modules()) {
      CHECK_FALSE(module->qconfig().has_value());
      CHECK_FALSE(module->children().contains("activation_post_process"));
    }
  }

  TEST_CASE("without calibration it succeeds with warnings, and is of no use") {
    const CatchWarnings warnings;
    ModulePtr model = sequence({std::make_shared<QuantStub>(), layer(), std::make_shared<DeQuantStub>()});
    model->set_qconfig(reduced());
    model = convert(prepare(model));
    CHECK(quantised(model, "1").scale() == 1);
    CHECK(quantised(model, "1").zero_point() == 0);
    CHECK_FALSE(warnings.texts().empty());
  }

  TEST_CASE("a layer before the stub gets floats, and says what is missing") {
    ModulePtr model = sequence({layer(), std::make_shared<QuantStub>(), layer()});
    model->set_qconfig(reduced());
    const ModulePtr converted = quantize(model, [](Module& m) { (void)m(kInput); });
    CHECK_THROWS_WITH_AS(
        (void)(*converted)(kInput),
        "in '0' (quantized.Linear): [quantized_linear] got float32 where quint8 is needed: no QuantStub "
        "stands before this layer",
        DtypeError);
  }

  TEST_CASE("a masked convolution alone converts, with its zeros") {
    const auto conv = std::make_shared<Conv2d>(1, 2, 3);
    Tensor mask = ones({2, 1, 3, 3});
    narrow(mask, 0, 0, 1).zero_();
    parametrize::register_parametrization(*conv, "weight", std::make_shared<FakeSparsity>(mask));
    ModulePtr model = sequence({std::make_shared<QuantStub>(), conv, std::make_shared<DeQuantStub>()});
    model->set_qconfig(get_default_qconfig());
    const Tensor x = randn({2, 1, 6, 6});
    const ModulePtr converted = quantize(model, [&](Module& m) { (void)m(x); });
    const auto& layer = dynamic_cast<const QuantizedConv2d&>(*converted->child("1"));
    CHECK(narrow(int_repr(layer.weight()), 0, 0, 1) == zeros({1, 1, 3, 3}, Dtype::i8));
    CHECK(max_difference((*converted)(x), (*model)(x)) < 0.1);
    CHECK((*converted)(x).shape() == Shape{2, 2, 4, 4});
  }

  TEST_CASE("batch norms of training are folded in at the end") {
    const auto conv = std::make_shared<Conv2d>(1, 2, 3);
    ModulePtr model = sequence({std::make_shared<QuantStub>(), conv, std::make_shared<BatchNorm2d>(2),
                                std::make_shared<ReLU>(), std::make_shared<DeQuantStub>()});
    model = fuse_modules_qat(model, {{"1", "2", "3"}}, Mode::inplace);
    model->set_qconfig(get_default_qat_qconfig());
    const Tensor x = randn({8, 1, 6, 6});
    ModulePtr prepared = prepare_qat(model);
    CHECK(prepared->child("1")->type_name() == "intrinsic.qat.ConvBnReLU2d");
    for (int i = 0; i < 50; ++i) (void)(*prepared)(x);  // the running statistics come near those of x
    prepared->eval();
    const Tensor before = (*prepared)(x);
    const ModulePtr converted = convert(prepared);
    CHECK(converted->child("1")->type_name() == "intrinsic.quantized.ConvReLU2d");
    CHECK(max_difference((*converted)(x), before) < 0.1);
  }

  TEST_CASE("dynamic quantisation needs no calibration, and sees through masks") {
    const auto masked = layer();
    parametrize::register_parametrization(*masked, "weight",
                                          std::make_shared<FakeSparsity>(Tensor::of({{0, 0}, {1, 1}})));
    const ModulePtr model = sequence({layer(), masked});
    const ModulePtr converted = quantize_dynamic(model);
    CHECK(converted->child("0")->type_name() == "quantized.dynamic.Linear");
    CHECK(allclose((*converted->child("0"))(kInput),
                   Tensor::of({{-2.70386, 0.31182653}, {-1.715748, -1.079435}, {0.3, -0.7}, {5.3117032, 0.5489734}}),
                   Tolerance{1e-6, 1e-6}));
    const auto& sparse = dynamic_cast<const DynamicLinear&>(*converted->child("1"));
    CHECK(integers_of(sparse.weight())[0] == 0);
    CHECK(integers_of(sparse.weight())[1] == 0);
    const ModulePtr half = quantize_dynamic(model, Dtype::f16);
    CHECK(dynamic_cast<const DynamicLinear&>(*half->child("0")).weight().dtype() == Dtype::f16);
    CHECK(allclose((*half)(kInput), (*model)(kInput), Tolerance{1e-3, 1e-3}));
    const ModulePtr one = quantize_dynamic(model, {{"1", default_dynamic_qconfig()}});
    CHECK(one->child("0")->type_name() == "Linear");
    CHECK(one->child("1")->type_name() == "quantized.dynamic.Linear");
    CHECK_THROWS_AS((void)quantize_dynamic(model, Dtype::f64), ValueError);
  }

  TEST_CASE("what was observed and has no counterpart stays, without its observer") {
    const ModulePtr model = sequence(
        {std::make_shared<QuantStub>(), layer(), std::make_shared<DeQuantStub>(), std::make_shared<Sigmoid>()});
    model->set_qconfig(get_default_qat_qconfig());
    const ModulePtr converted = quantize_qat(model, [](Module& m) { (void)m(kInput); });
    CHECK(converted->child("3")->type_name() == "Sigmoid");
    CHECK(converted->child("3")->children().empty());
    CHECK((*converted)(kInput).shape() == Shape{4, 2});
  }

  TEST_CASE("a layer that stands in two places is exchanged once") {
    const auto shared = layer();
    const ModulePtr model =
        sequence({std::make_shared<QuantStub>(), shared, sequence({shared}), std::make_shared<DeQuantStub>()});
    model->set_qconfig(reduced());
    const ModulePtr converted = quantize(model, [](Module& m) { (void)m(kInput); });
    CHECK(converted->child("1")->type_name() == "quantized.Linear");
    CHECK(converted->child("1") == converted->find_module("2")->child("0"));
    const ModulePtr trained = prepare_qat(sequence({shared, sequence({shared})}));
    CHECK(trained->child("0") == trained->find_module("1")->child("0"));
  }

  TEST_CASE("what cannot be converted is refused") {
    ModulePtr model = sequence({layer()});
    model->child("0")->set_qconfig(reduced());
    CHECK_THROWS_AS((void)convert(model), StateError);  // not prepared
    CHECK_THROWS_AS((void)convert(nullptr), ValueError);
    ModulePtr wrong = sequence({layer()});
    wrong->set_qconfig(make_qconfig({"MinMaxObserver", {}}, {"MinMaxObserver", {}}));
    ModulePtr prepared = prepare(wrong);
    (void)(*prepared)(kInput);
    CHECK_THROWS_AS((void)convert(prepared), StateError);  // weights of quint8
    wrong->set_qconfig(reduced());
    wrong->child("0")->set_qconfig(std::nullopt);
    prepared = prepare(wrong);
    (void)(*prepared)(Tensor::of({{std::nan(""), 0}}));
    CHECK_THROWS_AS((void)convert(prepared), ValueError);
    ModulePtr norm = sequence({std::make_shared<BatchNorm2d>(2)});
    norm->set_qconfig(reduced());
    CHECK_THROWS_AS((void)quantize(norm, [](Module& m) { (void)m(randn({1, 2, 3, 3})); }), NotSupported);
  }
}

}  // namespace
