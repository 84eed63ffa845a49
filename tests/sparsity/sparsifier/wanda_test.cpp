#include "coppice/sparsity/sparsifier/wanda.h"

#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine/warn.h"
#include "sparsity/sparsifier/masks.h"
#include "support/approx.h"

using namespace coppice;
using namespace coppice::sparsity;
using namespace coppice::testing;
using nn::ModulePtr;

namespace {

/// A model of one Linear with this weight, prepared.
struct Calibrated {
  ModulePtr model;
  WandaSparsifier sparsifier;
  explicit Calibrated(const Tensor& weight, Arguments more = {}, double level = 0.5)
      : model(linear_of(weight)), sparsifier(level) {
    sparsifier.prepare(model, {at("0.weight", std::move(more))});
  }
  Calibrated& see(const Tensor& x) {
    (void)(*model)(x);
    return *this;
  }
  [[nodiscard]] Tensor step() {
    sparsifier.step();
    return sparsifier.groups()[0].mask().to(Dtype::f32);
  }
};

Arguments blocks_of(std::int64_t m) { return {{"semi_structured_block_size", m}}; }

std::size_t hooks(const nn::Module& model, const char* path) {
  return model.find_module(path)->forward_pre_hooks().size();
}

}  // namespace

TEST_SUITE("sparsity/sparsifier/wanda") {
  TEST_CASE("channel norms are sums of squares over all that was seen") {
    ChannelNorms norms;
    CHECK_FALSE(norms.norm().defined());
    norms.see(zeros({0, 2}));
    CHECK_FALSE(norms.norm().defined());
    norms.see(Tensor::of({{1, 3}}));
    norms.see(Tensor::of({{4, 0}}));
    CHECK(differs(norms.norm(), Tensor::of({17, 9})) == "");
    CHECK_THROWS_AS(norms.see(ones({1, 3})), ShapeError);
    CHECK_THROWS_AS(norms.see(Tensor::of(1)), ShapeError);
    ChannelNorms deep;
    deep.see(arange(1, 9).reshape({1, 2, 2, 2}));
    CHECK(differs(deep.norm(), Tensor::of({84, 120})) == "");
    ChannelNorms wide;
    wide.see(ones({2, 2}, Dtype::f64));
    CHECK(wide.norm().dtype() == Dtype::f64);
  }

  TEST_CASE("weights rank by |w| times the squared norm of their channel, over the whole layer") {
    CHECK(Calibrated(Tensor::of({{3, 1}})).see(Tensor::of({{1, 2}})).step() == Tensor::of({{0, 1}}));
    const Tensor w = Tensor::of({{1, 2, 3, 4}, {10, 20, 30, 40}});
    CHECK(Calibrated(w).see(ones({1, 4})).step() == Tensor::of({{0, 0, 0, 0}, {1, 1, 1, 1}}));
    CHECK(Calibrated(w, {{"per_row", true}}).see(ones({1, 4})).step() == Tensor::of({{0, 0, 1, 1}, {0, 0, 1, 1}}));
    CHECK(Calibrated(Tensor::of({{5, 1, 1, 1}})).see(Tensor::of({{0, 1, 1, 2}})).step() ==
          Tensor::of({{0, 0, 1, 1}}));  // a channel that is always 0 goes first
  }

  TEST_CASE("counts are rounded down, and levels outside 0..1 mean none and all") {
    const Tensor w = Tensor::of({{1, 2, 3, 4, 5}});
    CHECK(Calibrated(w).see(ones({1, 5})).step() == Tensor::of({{0, 0, 1, 1, 1}}));
    CHECK(Calibrated(w, {}, -0.5).see(ones({1, 5})).step() == ones({1, 5}));
    CHECK(Calibrated(w, {}, 3).see(ones({1, 5})).step() == zeros({1, 5}));
  }

  TEST_CASE("half of each block of the flattened tensor, across rows where m divides only that") {
    CHECK(Calibrated(ones({1, 8}), blocks_of(4)).see(ones({1, 8})).step() == Tensor::of({{0, 0, 1, 1, 0, 0, 1, 1}}));
    CHECK(Calibrated(Tensor::of({{4, 3, 2, 1}, {1, 2, 3, 4}}), blocks_of(4)).see(ones({1, 4})).step() ==
          Tensor::of({{1, 1, 0, 0}, {0, 0, 1, 1}}));
    CHECK(Calibrated(Tensor::of({{1, 2, 3, 4, 5, 6}, {6, 5, 4, 3, 2, 1}}), blocks_of(4)).see(ones({1, 6})).step() ==
          Tensor::of({{0, 0, 1, 1, 0, 1}, {1, 0, 1, 1, 0, 0}}));
  }

  TEST_CASE("activations add up, and masks only lose entries") {
    Calibrated c(Tensor::of({{1, 2, 3, 4}}));
    CHECK(c.see(ones({1, 4})).step() == Tensor::of({{0, 0, 1, 1}}));
    CHECK(c.see(Tensor::of({{100, 100, 0, 0}})).step() == Tensor::of({{0, 0, 0, 0}}));
  }

  TEST_CASE("without calibration, for other axes and where m does not divide: refused with nothing changed") {
    Calibrated none(ones({1, 4}));
    CHECK_THROWS_AS(none.sparsifier.step(), StateError);
    CHECK_THROWS_AS((void)none.sparsifier.observed("1.weight"), KeyError);
    Calibrated odd(ones({1, 6}), blocks_of(4));
    odd.see(ones({1, 6}));
    CHECK_THROWS_AS(odd.sparsifier.step(), ValueError);
    CHECK(odd.sparsifier.groups()[0].mask() == ones({1, 6}, Dtype::boolean));
    const auto layer = std::make_shared<nn::Linear>(2, 2);
    WandaSparsifier bias;
    bias.prepare(layer, {at("bias")});
    (void)(*layer)(ones({1, 2}));
    CHECK_THROWS_AS(bias.step(), ShapeError);
    CHECK_THROWS_AS(WandaSparsifier(std::nan("")), ValueError);
    CHECK_THROWS_AS(WandaSparsifier(0.5, 0), ValueError);
    CHECK_THROWS_AS(Calibrated(ones({1, 4}), {{"per_row", 1.5}}), TypeError);
    CHECK_THROWS_AS(Calibrated(ones({1, 4}), blocks_of(-4)), ValueError);
  }

  TEST_CASE("a block size is warned of: it fixes the level") {
    const CatchWarnings warnings;
    const WandaSparsifier s(0.9, 4);
    REQUIRE(warnings.texts().size() == 1);
    CHECK(warnings.texts()[0] ==
          "WandaSparsifier got semi_structured_block_size=4, sparsity_level fixed to 50% (2:4) sparsity");
    CHECK(s.defaults().integer("semi_structured_block_size") == 4);
    CHECK_FALSE(WandaSparsifier().defaults().has("semi_structured_block_size"));
  }

  TEST_CASE("observation ends with squash_mask and with the sparsifier; attach moves it") {
    const ModulePtr model = simple_linear();
    {
      WandaSparsifier s;
      s.prepare(model);
      CHECK(hooks(*model, "linear1") == 1);
      CHECK(hooks(*model, "seq") == 0);
      const ModulePtr other = model->clone();
      s.attach(other);
      CHECK(hooks(*model, "linear1") == 0);
      (void)(*other)(ones({1, 7}));
      CHECK(s.observed("linear1.weight").norm().defined());
      s.step();
      s.squash_mask();
      CHECK_THROWS_AS((void)s.observed("linear1.weight"), KeyError);
    }
    const ModulePtr fresh = simple_linear();
    {
      WandaSparsifier s;
      s.prepare(fresh);
      CHECK(hooks(*fresh, "linear1") == 1);
    }
    CHECK(hooks(*fresh, "linear1") == 0);
    CHECK(nn::masks_in(*fresh).size() == 5);
  }

  TEST_CASE("TestWandaSparsifier.test_prepare") {
    const ModulePtr model = simple_linear();
    WandaSparsifier s;
    s.prepare(model);
    for (const Group& g : s.groups()) {
      CHECK(g.mask().defined());
      CHECK(fake_sparsity(*model, g.module_fqn()) != nullptr);
      CHECK_FALSE(s.observed(g.tensor_fqn()).norm().defined());
    }
  }

  TEST_CASE("TestWandaSparsifier.test_squash_mask") {
    const ModulePtr model = simple_linear();
    WandaSparsifier s;
    s.prepare(model);
    s.squash_mask();
    for (const Group& g : s.groups()) {
      CHECK_FALSE(nn::parametrize::is_parametrized(g.module(), "weight"));
      CHECK_FALSE(g.module().has("mask"));
      CHECK(g.module().forward_pre_hooks().empty());
    }
  }

  TEST_CASE("TestWandaSparsifier.test_one_layer_mlp_2x4") {
    const ModulePtr model = linear_of(Tensor::of({{1, 2, 3, 4, 5, 6, 7, 8}}));
    const CatchWarnings warnings;
    WandaSparsifier s(0.5, 4);
    s.prepare(model);
    (void)(*model)(ones({1, 8}));
    s.step();
    s.squash_mask();
    const Tensor weight = model->find_module("0")->tensor("weight");
    CHECK(count_nonzero(weight) == 4);
    CHECK(weight == Tensor::of({{0, 0, 3, 4, 0, 0, 7, 8}}));
  }

  TEST_CASE("TestWandaSparsifier.test_one_layer_mlp_unstructured") {
    const ModulePtr model = linear_of(Tensor::of({{1, 2, 3, 4}}));
    WandaSparsifier s(0.5);
    s.prepare(model);
    (void)(*model)(Tensor::of({{100, 10, 1, 0.1}}));
    s.step();
    s.squash_mask();
    CHECK(model->find_module("0")->tensor("weight") == Tensor::of({{1, 2, 0, 0}}));
  }

  TEST_CASE("TestWandaSparsifier.test_two_layer_mlp_unstructured, and with a config for the first layer") {
    for (const bool first_alone : {false, true}) {
      const ModulePtr model = std::make_shared<nn::Sequential>(std::initializer_list<ModulePtr>{
          std::make_shared<nn::Linear>(128, 200), std::make_shared<nn::ReLU>(), std::make_shared<nn::Linear>(200, 10)});
      WandaSparsifier s(0.5);
      if (first_alone)
        s.prepare(model, {at("0.weight")});
      else
        s.prepare(model);
      (void)(*model)(randn({100, 128}));
      (void)(*model)(randn({100, 128}));
      s.step();
      s.squash_mask();
      CHECK(count_nonzero(model->find_module("0")->tensor("weight")) == 128 * 200 / 2);
      CHECK(count_nonzero(model->find_module("2")->tensor("weight")) == (first_alone ? 2000 : 1000));
    }
  }

  TEST_CASE("a copy and a sparsifier that moves to a clone go on from what was seen") {
    Calibrated c(Tensor::of({{3, 1}, {2, 2}}));
    c.see(Tensor::of({{1, 2}}));
    const ModulePtr other = c.model->clone();
    const std::unique_ptr<BaseSparsifier> copy = c.sparsifier.clone_onto(other);
    const auto& wanda = dynamic_cast<const WandaSparsifier&>(*copy);
    CHECK(wanda.observed("0.weight").norm() == Tensor::of({1, 4}));
    (void)(*other)(Tensor::of({{1, 1}}));
    CHECK(wanda.observed("0.weight").norm() == Tensor::of({2, 5}));
    CHECK(c.sparsifier.observed("0.weight").norm() == Tensor::of({1, 4}));
    (void)(*c.model)(Tensor::of({{0, 1}}));
    CHECK(wanda.observed("0.weight").norm() == Tensor::of({2, 5}));
    CHECK(c.sparsifier.observed("0.weight").norm() == Tensor::of({1, 5}));
    const ModulePtr next = c.model->clone();
    c.sparsifier.attach(next);
    (void)(*c.model)(Tensor::of({{7, 7}}));
    (void)(*next)(Tensor::of({{1, 0}}));
    CHECK(c.sparsifier.observed("0.weight").norm() == Tensor::of({2, 5}));
  }
}
