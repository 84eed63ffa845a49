#include "coppice/nn/quant/fuse_modules.h"

#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/nn.h"

namespace {

using namespace coppice;
using namespace coppice::nn;
using namespace coppice::nn::quant;

ModulePtr sequence(std::initializer_list<ModulePtr> modules) { return std::make_shared<Sequential>(modules); }

/// Running statistics and an affine part that are not the initial ones.
std::shared_ptr<BatchNorm2d> norm2d(std::int64_t features) {
  auto norm = std::make_shared<BatchNorm2d>(features);
  const NoGrad guard;
  Generator generator(11);
  for (const char* name : {"weight", "bias", "running_mean"}) {
    Tensor t = norm->tensor(name);
    generator.normal(t.mutable_data<float>());
  }
  norm->tensor("running_var").fill_(2.5);
  return norm;
}

std::string types(const ModulePtr& model) {
  std::string text;
  for (const auto& [name, child] : model->children()) text += cat(text.empty() ? "" : " ", child->type_name());
  return text;
}

TEST_SUITE("nn/quant/fuse_modules") {
  TEST_CASE("folded numbers") {
    const Tensor w = Tensor::of({2, -1}).reshape({2, 1, 1, 1});
    const auto [weight, bias] =
        fuse_conv_bn_weights(w, Tensor::of({0.5, 0}), Tensor::of({1, -2}), Tensor::of({4, 0.25}), 1e-5,
                             Tensor::of({3, 0.5}), Tensor::of({0.1, -0.2}));
    CHECK(allclose(weight.reshape({2}), Tensor::of({2.99999642, -0.99997997})));
    CHECK(allclose(bias, Tensor::of({-0.64999908, 1.7999599})));
    const auto [w2, b2] = fuse_linear_bn_weights(Tensor::of({2, -1}).reshape({2, 1}), Tensor(), Tensor::of({1, -2}),
                                                 Tensor::of({4, 0.25}), 1e-5, Tensor(), Tensor());
    CHECK(allclose(w2, Tensor::of({0.99999875, -1.99996}).reshape({2, 1})));
    CHECK(allclose(b2, Tensor::of({-0.499999375, 3.99992})));
  }

  TEST_CASE("each combination becomes its fused type, and computes the same") {
    const Tensor x = randn({2, 3, 5, 5});
    const auto check = [&](const ModulePtr& model, std::vector<std::string> group, const char* expected) {
      model->eval();
      const ModulePtr fused = fuse_modules(model, {std::move(group)});
      CHECK(types(fused) == expected);
      CHECK(allclose((*fused)(x), (*model)(x), Tolerance{1e-4, 1e-5}));
      CHECK(types(model).find("Identity") == std::string::npos);  // the model itself is as it was
    };
    const auto conv = [] { return std::make_shared<Conv2d>(3, 4, 3); };
    const auto relu = [] { return std::make_shared<ReLU>(); };
    check(sequence({conv(), norm2d(4)}), {"0", "1"}, "Conv2d Identity");
    check(sequence({conv(), norm2d(4), relu()}), {"0", "1", "2"}, "intrinsic.ConvReLU2d Identity Identity");
    check(sequence({conv(), relu()}), {"0", "1"}, "intrinsic.ConvReLU2d Identity");
    check(sequence({norm2d(3), relu()}), {"0", "1"}, "intrinsic.BNReLU2d Identity");
    check(sequence({std::make_shared<Linear>(5, 5), relu()}), {"0", "1"}, "intrinsic.LinearReLU Identity");
    const Tensor rows = randn({6, 5});
    const auto norm = std::make_shared<BatchNorm1d>(5);
    norm->tensor("running_mean").fill_(0.5);
    const ModulePtr linear = sequence({std::make_shared<Linear>(5, 5, false), norm});
    linear->eval();
    const ModulePtr fused = fuse_modules(linear, {{"0", "1"}});
    CHECK(types(fused) == "Linear Identity");
    CHECK(allclose((*fused)(rows), (*linear)(rows), Tolerance{1e-4, 1e-5}));
  }

  TEST_CASE("training keeps batch norms") {
    const auto conv = std::make_shared<Conv2d>(3, 4, 3);
    const ModulePtr fused =
        fuse_modules_qat(sequence({conv, norm2d(4), std::make_shared<ReLU>()}), {{"0", "1", "2"}}, Mode::inplace);
    CHECK(types(fused) == "intrinsic.ConvBnReLU2d Identity Identity");
    CHECK(fused->child("0")->child("0") == conv);
    CHECK(fused->child("1")->training());
  }

  TEST_CASE("masks of both families stay in front of a folded batch norm") {
    const auto fake = std::make_shared<Conv2d>(3, 4, 3), masked = std::make_shared<Conv2d>(3, 4, 3);
    Tensor mask = ones({4, 3, 3, 3});
    narrow(mask, 0, 1, 2).zero_();
    parametrize::register_parametrization(*fake, "weight", std::make_shared<FakeSparsity>(mask));
    set_mask(*masked, "weight", mask);
    for (const auto& conv : {fake, masked}) {
      const ModulePtr model = sequence({conv, norm2d(4)});
      model->eval();
      const Tensor x = randn({1, 3, 5, 5});
      const ModulePtr fused = fuse_modules(model, {{"0", "1"}});
      CHECK(allclose((*fused)(x), (*model)(x), Tolerance{1e-4, 1e-5}));
      const Module& layer = *fused->child("0");
      CHECK((is_masked(layer, "weight") || parametrize::is_parametrized(layer, "weight")));
      CHECK(sum(eq(layer.tensor("weight"), Tensor::of(0)).to(Dtype::f32)).item() == 54);
    }
  }

  TEST_CASE("a batch norm is not folded into what something else than a mask parametrizes") {
    const auto conv = std::make_shared<Conv2d>(3, 4, 3);
    parametrize::register_parametrization(*conv, "weight", std::make_shared<Tanh>());
    const ModulePtr model = sequence({conv, norm2d(4)});
    model->eval();
    CHECK_THROWS_AS((void)fuse_modules(model, {{"0", "1"}}), NotSupported);
  }

  TEST_CASE("hooks before the first and behind the last go to the fused module") {
    const ModulePtr model = sequence({std::make_shared<Linear>(2, 2), std::make_shared<ReLU>()});
    int before = 0, after = 0;
    model->child("0")->register_forward_pre_hook([&](const Module&, const TensorList&) {
      ++before;
      return std::nullopt;
    });
    model->child("1")->register_forward_hook([&](const Module&, const TensorList&, const TensorList&) {
      ++after;
      return std::nullopt;
    });
    (void)fuse_modules(model, {{"0", "1"}}, Mode::inplace);
    (void)(*model->child("0"))(ones({1, 2}));
    CHECK(before == 1);
    CHECK(after == 1);
    CHECK(model->child("0")->forward_hooks().size() == 1);
  }

  TEST_CASE("what cannot be fused is refused, with nothing changed") {
    const auto linear = [] { return std::make_shared<Linear>(2, 2); };
    const ModulePtr model = sequence({linear(), linear(), std::make_shared<ReLU>(), std::make_shared<BatchNorm1d>(2)});
    const std::string before = types(model);
    CHECK_THROWS_AS((void)fuse_modules(model, {{"1", "2"}, {"0", "1"}}, Mode::inplace), NotSupported);
    CHECK_THROWS_AS((void)fuse_modules(model, {{"0"}}, Mode::inplace), NotSupported);
    CHECK_THROWS_AS((void)fuse_modules(model, {{"0", "9"}}, Mode::inplace), KeyError);
    CHECK_THROWS_AS((void)fuse_modules(model, {{"1", "3"}}, Mode::inplace), StateError);  // training mode
    model->child("1")->eval();
    CHECK_THROWS_AS((void)fuse_modules(model, {{"1", "2"}}, Mode::inplace), StateError);  // different modes
    CHECK(types(model) == before);
    CHECK_THROWS_AS((void)fuse_modules(nullptr, {}), ValueError);
  }
}

}  // namespace
