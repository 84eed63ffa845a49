// The eager half of torch/test/ao/sparsity/test_composability.py: sparsifiers and quantisation in every order.
#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/sparsifier/weight_norm.h"

namespace {

using namespace coppice;
using namespace coppice::nn;
using namespace coppice::nn::quant;
using sparsity::WeightNormSparsifier;

/// Linear, ReLU, Linear, ReLU, QuantStub, Linear, ReLU, DeQuantStub.
ModulePtr model_of() {
  return std::make_shared<Sequential>(std::initializer_list<ModulePtr>{
      std::make_shared<Linear>(4, 4), std::make_shared<ReLU>(), std::make_shared<Linear>(4, 4),
      std::make_shared<ReLU>(), std::make_shared<QuantStub>(), std::make_shared<Linear>(4, 4), std::make_shared<ReLU>(),
      std::make_shared<DeQuantStub>()});
}

Module& at(const ModulePtr& model, std::string_view path) {
  Module* found = model->find_module(path);
  REQUIRE(found != nullptr);
  return *found;
}

/// The stub and the last layer get the qconfig, not the DeQuantStub.
void set_qconfigs(const ModulePtr& model, const QConfigPtr& qconfig = get_default_qconfig("fbgemm")) {
  at(model, "4").set_qconfig(qconfig);
  at(model, "5").set_qconfig(qconfig);
}

sparsity::SparsifierConfig config_of(const std::string& last) {
  return {{{"tensor_fqn", last}, {"sparsity_level", 0.7}}, {{"tensor_fqn", std::string("0.weight")}}};
}

double sparsity_of(const Tensor& t) {
  const Tensor zero = eq(t, Tensor::of(0));
  return static_cast<double>(sum(zero.to(Dtype::f32)).item<float>() / static_cast<float>(t.numel()));
}

/// a >= b but for rounding at seven places.
bool greater_almost_equal(double a, double b) { return a >= b - 5e-8; }

bool parametrized(const ModulePtr& model, std::string_view path) {
  return parametrize::is_parametrized(at(model, path));
}
bool observed(const ModulePtr& model, std::string_view path) {
  return at(model, path).children().contains("activation_post_process");
}
std::string type(const ModulePtr& model, std::string_view path) { return std::string(at(model, path).type_name()); }

void check_shape(const ModulePtr& model) { CHECK((*model)(randn({1, 4, 4, 4})).shape() == Shape{1, 4, 4, 4}); }

Tensor quantised_weight(const ModulePtr& model, std::string_view path) {
  return dynamic_cast<const QuantizedLinear&>(at(model, path)).weight();
}

}  // namespace

TEST_SUITE("torch/test/ao/sparsity/test_composability.py") {
  TEST_CASE("TestComposability::test_q_prep_before_s_prep") {
    ModulePtr mod = model_of();
    set_qconfigs(mod);
    WeightNormSparsifier sparsifier(0.8, {1, 4}, 4);
    mod = prepare(mod, Mode::inplace);
    sparsifier.prepare(mod, config_of("5.weight"));
    CHECK(parametrized(mod, "0"));
    CHECK(parametrized(mod, "5"));
    CHECK(observed(mod, "5"));
    CHECK(observed(mod, "4"));
    sparsifier.step();
    sparsifier.squash_mask();
    (void)(*mod)(randn({1, 4, 4, 4}));
    mod = convert(mod, Mode::inplace);
    CHECK(type(mod, "4") == "quantized.Quantize");
    CHECK(type(mod, "5") == "quantized.Linear");
    CHECK(type(mod, "6") == "ReLU");
    CHECK(type(mod, "7") == "DeQuantStub");  // it had no qconfig
    check_shape(mod);
    CHECK((*mod)(randn({1, 4, 4, 4})).dtype() == Dtype::quint8);
  }

  TEST_CASE("TestComposability::test_s_prep_before_q_prep") {
    ModulePtr mod = model_of();
    set_qconfigs(mod);
    WeightNormSparsifier sparsifier(0.8, {1, 4}, 4);
    sparsifier.prepare(mod, config_of("5.weight"));
    mod = prepare(mod, Mode::inplace);
    CHECK(parametrized(mod, "0"));
    CHECK(parametrized(mod, "5"));
    CHECK(observed(mod, "5"));
    sparsifier.step();
    sparsifier.squash_mask();
    (void)(*mod)(randn({1, 4, 4, 4}));
    mod = convert(mod, Mode::inplace);
    CHECK(type(mod, "5") == "quantized.Linear");
    check_shape(mod);
  }

  TEST_CASE("TestComposability::test_convert_without_squash_mask") {
    ModulePtr mod = model_of();
    set_qconfigs(mod);
    WeightNormSparsifier sparsifier(0.8, {1, 4}, 4);
    sparsifier.prepare(mod, config_of("5.weight"));
    mod = prepare(mod, Mode::inplace);
    CHECK(parametrized(mod, "0"));
    CHECK(parametrized(mod, "5"));
    CHECK(observed(mod, "5"));
    sparsifier.step();
    const double before = sparsity_of(at(mod, "5").tensor("weight"));
    (void)(*mod)(randn({1, 4, 4, 4}));
    mod = convert(mod, Mode::inplace);
    CHECK(type(mod, "5") == "quantized.Linear");
    check_shape(mod);
    const double after = sparsity_of(quantised_weight(mod, "5"));
    CHECK(before == doctest::Approx(0.75));
    CHECK(greater_almost_equal(before, 0.7));
    CHECK(greater_almost_equal(after, before));
    CHECK(parametrized(mod, "0"));
  }

  TEST_CASE("TestComposability::test_s_prep_before_fusion") {
    ModulePtr mod = model_of();
    set_qconfigs(mod);
    WeightNormSparsifier sparsifier(0.8, {1, 4}, 4);
    sparsifier.prepare(mod, config_of("5.weight"));
    mod = fuse_modules(mod, {{"5", "6"}}, Mode::inplace);
    CHECK_FALSE(at(mod, "5").qconfig().has_value());
    at(mod, "5").set_qconfig(get_default_qconfig("fbgemm"));
    mod = prepare(mod, Mode::inplace);
    CHECK(type(mod, "5") == "intrinsic.LinearReLU");
    CHECK(type(mod, "6") == "Identity");
    CHECK(parametrized(mod, "0"));
    CHECK(parametrized(mod, "5.0"));
    CHECK(observed(mod, "5"));
    sparsifier.step();
    sparsifier.squash_mask();
    (void)(*mod)(randn({1, 4, 4, 4}));
    mod = convert(mod, Mode::inplace);
    CHECK(type(mod, "5") == "intrinsic.quantized.LinearReLU");
    check_shape(mod);
  }

  TEST_CASE("TestComposability::test_fusion_before_s_prep") {
    ModulePtr mod = model_of();
    set_qconfigs(mod);
    mod = fuse_modules(mod, {{"5", "6"}}, Mode::inplace);
    WeightNormSparsifier sparsifier(0.8, {1, 4}, 4);
    sparsifier.prepare(mod, config_of("5.0.weight"));
    at(mod, "5").set_qconfig(get_default_qconfig("fbgemm"));
    mod = prepare(mod, Mode::inplace);
    CHECK(parametrized(mod, "0"));
    CHECK(parametrized(mod, "5.0"));
    CHECK(observed(mod, "5"));
    sparsifier.step();
    const double before = sparsity_of(at(mod, "5.0").tensor("weight"));
    (void)(*mod)(randn({1, 4, 4, 4}));
    mod = convert(mod, Mode::inplace);
    CHECK(type(mod, "5") == "intrinsic.quantized.LinearReLU");
    check_shape(mod);
    const double after = sparsity_of(quantised_weight(mod, "5"));
    CHECK(greater_almost_equal(before, 0.7));
    CHECK(greater_almost_equal(after, before));
  }

  TEST_CASE("TestComposability::test_s_prep_before_qat_prep") {
    ModulePtr mod = model_of();
    set_qconfigs(mod, get_default_qat_qconfig("fbgemm"));
    WeightNormSparsifier sparsifier(0.8, {1, 4}, 4);
    sparsifier.prepare(mod, config_of("5.weight"));
    mod = prepare_qat(mod, Mode::inplace);
    CHECK(parametrized(mod, "0"));
    CHECK(parametrized(mod, "5"));
    CHECK(observed(mod, "5"));
    CHECK(type(mod, "5") == "qat.Linear");
    sparsifier.step();  // the mask is the same module
    sparsifier.squash_mask();
    (void)(*mod)(randn({1, 4, 4, 4}));
    mod = convert(mod, Mode::inplace);
    CHECK(type(mod, "5") == "quantized.Linear");
    check_shape(mod);
    CHECK(greater_almost_equal(sparsity_of(quantised_weight(mod, "5")), 0.7));
  }

  TEST_CASE("TestComposability::test_qat_prep_before_s_prep") {
    ModulePtr mod = model_of();
    set_qconfigs(mod, get_default_qat_qconfig("fbgemm"));
    mod = prepare_qat(mod, Mode::inplace);
    WeightNormSparsifier sparsifier(0.8, {1, 4}, 4);
    sparsifier.prepare(mod, config_of("5.weight"));
    CHECK(parametrized(mod, "0"));
    CHECK(parametrized(mod, "5"));
    CHECK(observed(mod, "5"));
    CHECK(type(mod, "5") == "qat.Linear");
    CHECK(at(mod, "5").children().contains("weight_fake_quant"));
    sparsifier.step();
    sparsifier.squash_mask();
    (void)(*mod)(randn({1, 4, 4, 4}));
    mod = convert(mod, Mode::inplace);
    CHECK(type(mod, "5") == "quantized.Linear");
    check_shape(mod);
    CHECK(greater_almost_equal(sparsity_of(quantised_weight(mod, "5")), 0.7));
  }
}

namespace {

/// Weights (4 i + j - off) / 8 and fixed biases.
ModulePtr fixed_model() {
  ModulePtr model = model_of();
  const NoGrad guard;
  for (const auto& [path, off] : {std::pair{"0", 5}, {"2", 8}, {"5", 5}}) {
    Module& layer = at(model, path);
    for (std::int64_t i = 0; i < 4; ++i)
      for (std::int64_t j = 0; j < 4; ++j)
        layer.tensor("weight").set_({i, j}, static_cast<double>(4 * i + j - off) / 8);
    layer.tensor("bias").copy_(Tensor::of({-0.5, 0.25, 0.5, 1.0}));
  }
  return model;
}

}  // namespace

TEST_SUITE("sparsity/composability") {
  TEST_CASE("a whole flow from fixed numbers") {
    struct Case {
      ObserverFactory activation;
      double input_scale, output_scale;
    };
    const Case cases[] = {{{"MinMaxObserver", {{"reduce_range", true}}}, 0.04607529565691948, 0.09162002056837082},
                          {get_default_qconfig("fbgemm")->activation, 0.04605279862880707, 0.09157527983188629}};
    Tensor x = arange(0, 64).to(Dtype::f32) - 32.0;
    x = (x / 32.0).reshape({1, 4, 4, 4});
    for (const Case& c : cases) {
      ModulePtr mod = fixed_model();
      set_qconfigs(mod, make_qconfig(c.activation, get_default_qconfig("fbgemm")->weight));
      WeightNormSparsifier sparsifier(0.8, {1, 4}, 4);
      sparsifier.prepare(mod, config_of("5.weight"));
      mod = prepare(mod, Mode::inplace);
      sparsifier.step();
      (void)(*mod)(x);
      mod = convert(mod, Mode::inplace);
      CHECK(at(mod, "4").tensor("scale").item() == c.input_scale);
      CHECK(at(mod, "4").tensor("zero_point").item() == 0);
      const auto& layer = dynamic_cast<const QuantizedLinear&>(at(mod, "5"));
      CHECK(layer.scale() == c.output_scale);
      CHECK(layer.zero_point() == 5);
      CHECK(int_repr(layer.weight()) ==
            Tensor::of({{0, 0, 0, 0}, {0, 0, 0, 0}, {0, 0, 0, 0}, {89, 102, 115, 127}}).to(Dtype::i8));
      const std::vector<double> scales{0x1p-23, 0x1p-23, 0x1p-23, 0.009803921915590763};
      CHECK(layer.weight().qparams()->scales() == scales);
      const Tensor out = int_repr((*mod)(x));
      const auto y = out.to_vector<std::int64_t>();
      CHECK(std::vector<std::int64_t>(y.begin(), y.begin() + 4) == std::vector<std::int64_t>{5, 8, 10, 45});
      CHECK(std::vector<std::int64_t>(y.end() - 4, y.end()) == std::vector<std::int64_t>{5, 8, 10, 126});
      CHECK(sum(out.to(Dtype::i64)).item() == 1507);
    }
  }
}
