#include "coppice/nn/masks/families.h"

#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/nn.h"

using namespace coppice;
using namespace coppice::nn;
using parametrize::register_parametrization;

namespace {

/// 0: X_mask; 1: FakeSparsity; 2: FakeSparsity behind which another one stands; 3: no mask.
std::shared_ptr<Sequential> masked_model() {
  manual_seed(1);
  const auto fake = [] { return std::make_shared<FakeSparsity>(Tensor::of({{1, 0}, {0, 1}})); };
  const auto model = std::make_shared<Sequential>();
  for (int i = 0; i < 4; ++i) model->append(std::make_shared<Linear>(2, 2));
  attach_mask(*model->at(0), "weight", Tensor::of({{1, 1}, {0, 1}}));
  register_parametrization(*model->at(1), "weight", fake());
  register_parametrization(*model->at(2), "weight", fake());
  register_parametrization(*model->at(2), "weight", std::make_shared<Tanh>());
  return model;
}

}  // namespace

TEST_SUITE("nn/masks/families") {
  TEST_CASE("masks_in lists both families in the order of the modules; their masks may be written") {
    const auto model = masked_model();
    const auto slots = masks_in(*model);
    REQUIRE(slots.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(slots[i].path == cat(i, ".weight"));
      CHECK(slots[i].name == "weight");
      CHECK(slots[i].module == model->at(static_cast<std::int64_t>(i)).get());
      CHECK(slots[i].fake == (i > 0));
    }
    CHECK(slots[0].original.is(model->at(0)->tensor("weight_orig")));
    CHECK(slots[1].original.is(parametrize::parametrizations_of(*model->at(1), "weight").tensor("original")));
    CHECK(masked_slots(*model).size() == 1);
    Tensor mask = slots[1].mask;
    mask.fill_(0);
    CHECK(model->at(1)->tensor("weight") == zeros({2, 2}));
  }

  TEST_CASE("a FakeSparsity that is not the first, or has several originals before it, is not listed") {
    Linear m(2, 2);
    register_parametrization(m, "weight", std::make_shared<Tanh>());
    register_parametrization(m, "weight", std::make_shared<FakeSparsity>(ones({2, 2})));
    CHECK(masks_in(m).empty());
  }

  TEST_CASE("original_now reads what is computed itself anew") {
    const auto model = masked_model();
    Module& list = parametrize::parametrizations_of(*model->at(1), "weight");
    attach_mask(list, "original", ones({2, 2}));
    attach_mask(*model->at(0), "weight_orig", ones({2, 2}));
    const auto slots = masks_in(*model);
    {
      const NoGrad guard;
      list.tensor("original_orig").fill_(5);
      model->at(0)->tensor("weight_orig_orig").fill_(6);
    }
    for (const MaskedSlot& s : slots) {
      if (s.path == "0.weight") CHECK(original_now(s) == full({2, 2}, 6));
      if (s.path == "1.weight") CHECK(original_now(s) == full({2, 2}, 5));
      if (s.path == "2.weight") CHECK(original_now(s).is(s.original));
    }
    CHECK(slots.size() == 5);
  }

  TEST_CASE("is_fake_original is true of nothing else") {
    const auto model = masked_model();
    const Module& list = parametrize::parametrizations_of(*model->at(1), "weight");
    CHECK(is_fake_original(list, "original"));
    CHECK_FALSE(is_fake_original(list, "weight"));
    CHECK_FALSE(is_fake_original(*model->at(1), "original"));
    CHECK_FALSE(is_fake_original(*model->at(0), "weight_orig"));
  }

  TEST_CASE("attach_masks_of prepares a plain model for the names of a masked one") {
    const auto masked = masked_model();
    NamedTensors tensors;
    for (const auto& [name, tensor] : all_tensors(*masked)) tensors.add(name, tensor.clone());
    const auto plain = std::make_shared<Sequential>();
    for (int i = 0; i < 4; ++i) plain->append(std::make_shared<Linear>(2, 2));
    register_parametrization(*plain->at(2), "weight", std::make_shared<FakeSparsity>(ones({2, 2})));
    register_parametrization(*plain->at(2), "weight", std::make_shared<Tanh>());
    CHECK(attach_masks_of(*plain, tensors) == 2);  // the third is there already
    load_state_dict(*plain, tensors);
    const Tensor x = rand({3, 2});
    CHECK((*plain)(x) == (*masked)(x));
    CHECK(masks_in(*plain)[1].fake);

    Linear other(3, 3);
    CHECK(attach_masks_of(other, tensors) == 0);
    Sequential wide{std::make_shared<Linear>(3, 2), std::make_shared<Linear>(3, 2)};
    CHECK(attach_masks_of(wide, tensors) == 0);  // masks of another shape
  }

  TEST_CASE("burn_in_masks makes parameters of both families and leaves other parametrizations") {
    const auto model = masked_model();
    attach_mask(*model->at(0), "weight_orig", Tensor::of({{0, 1}, {1, 1}}));  // a mask below a mask
    const Tensor x = rand({3, 2}), y = (*model)(x);
    const Tensor original = parametrize::parametrizations_of(*model->at(1), "weight").tensor("original");
    burn_in_masks(*model);
    CHECK((*model)(x) == y);
    CHECK(model->at(1)->own_parameters().find("weight")->is(original));
    CHECK(model->at(1)->tensor("weight").at({0, 1}) == 0);
    CHECK(model->at(0)->derived().empty());
    CHECK(masks_in(*model).size() == 1);
    CHECK(parametrize::is_parametrized(*model->at(2), "weight"));
  }

  TEST_CASE("burn_in_masks undoes masks upon masks, whichever family is on top") {
    manual_seed(2);
    const Tensor mask = Tensor::of({{1, 0}, {0, 1}}), other = Tensor::of({{1, 1}, {0, 0}});
    const auto below = std::make_shared<Linear>(2, 2), above = std::make_shared<Linear>(2, 2);
    register_parametrization(*below, "weight", std::make_shared<FakeSparsity>(mask));
    attach_mask(parametrize::parametrizations_of(*below, "weight"), "original", other);
    attach_mask(*above, "weight", mask);
    register_parametrization(*above, "weight_orig", std::make_shared<FakeSparsity>(other));
    Sequential model{below, above};
    const Tensor x = rand({3, 2}), y = model(x);
    burn_in_masks(model);
    CHECK(model(x) == y);
    for (const auto& layer : {below, above}) {
      CHECK(layer->derived().empty());
      CHECK(layer->children().empty());
      CHECK(count_nonzero(layer->tensor("weight")) == 1);
    }
  }

  TEST_CASE("take_fake_masks turns FakeSparsity into X_orig and X_mask; the original stays the same tensor, dense") {
    const auto model = masked_model();
    const Tensor x = rand({3, 2}), y = (*model)(x);
    const Tensor original = parametrize::parametrizations_of(*model->at(1), "weight").tensor("original");
    take_fake_masks(*model);
    CHECK((*model)(x) == y);
    CHECK(is_masked(*model->at(1), "weight"));
    CHECK(model->at(1)->tensor("weight_orig").is(original));
    CHECK_FALSE(original.at({0, 1}) == 0);
    CHECK(model->at(1)->tensor("weight_mask") == Tensor::of({{1, 0}, {0, 1}}));
    CHECK(parametrize::is_parametrized(*model->at(2), "weight"));
    CHECK(masks_in(*model).size() == 3);
  }

  TEST_CASE("attach_masks_of gives a floating mask the type of its parameter; others keep their own") {
    for (const Dtype wide : {Dtype::f64, Dtype::f16, Dtype::boolean}) {
      CAPTURE(wide);
      const Tensor mask = Tensor::of({{1, 0}, {0, 1}});
      const NamedTensors tensors{{"weight_orig", ones({2, 2}, Dtype::f64)},
                                 {"weight_mask", mask.to(wide)},
                                 {"parametrizations.bias.original", ones({2}, Dtype::f64)},
                                 {"parametrizations.bias.0.mask", Tensor::of({1, 0}).to(wide)}};
      Linear m(2, 2);
      CHECK(attach_masks_of(m, tensors) == 2);
      load_state_dict(m, tensors);
      CHECK(m.tensor("weight") == mask);
      CHECK(m.tensor("bias") == Tensor::of({1, 0}));
      const auto slots = masks_in(m);
      REQUIRE(slots.size() == 2);
      for (const MaskedSlot& s : slots)
        CHECK(s.mask.dtype() == (s.fake && wide == Dtype::boolean ? Dtype::boolean : Dtype::f32));
    }
  }

  TEST_CASE("take_fake_masks keeps frozen parameters frozen, and the lists of other tensors") {
    Linear m(2, 2);
    register_parametrization(m, "weight", std::make_shared<FakeSparsity>(Tensor::of({{1, 0}, {0, 1}})));
    register_parametrization(m, "bias", std::make_shared<Tanh>());
    Tensor original = masks_in(m).at(0).original;
    original.requires_grad_(false);
    const Tensor bias = m.tensor("bias");
    take_fake_masks(m);
    CHECK(m.own_parameters().find("weight_orig")->is(original));
    CHECK_FALSE(original.requires_grad());
    CHECK(is_masked(m, "weight"));
    CHECK(parametrize::is_parametrized(m, "bias"));
    CHECK(m.tensor("bias") == bias);
    burn_in_mask(m, "weight");
    CHECK(m.tensor("weight").is(original));
  }

  TEST_CASE("take_fake_masks refuses taken names and other shapes with nothing changed, also in the modules before") {
    const auto model = masked_model();
    const auto last = std::make_shared<Linear>(2, 2);
    register_parametrization(*last, "weight", std::make_shared<FakeSparsity>(ones({2, 2})));
    model->append(last);
    SUBCASE("an original") {
      last->register_parameter("weight_orig", ones({1}));
      CHECK_THROWS_WITH_AS(take_fake_masks(*model),
                           "[take_fake_masks] the module of '4.weight' already has 'weight_orig'", KeyError);
    }
    SUBCASE("a mask") {
      last->register_buffer("weight_mask", ones({1}));
      CHECK_THROWS_WITH_AS(take_fake_masks(*model),
                           "[take_fake_masks] the module of '4.weight' already has 'weight_mask'", KeyError);
    }
    SUBCASE("a shape") {
      masks_in(*model).back().mask.replace_(ones({2}));
      CHECK_THROWS_WITH_AS(take_fake_masks(*model), "[take_fake_masks] mask (2,) for '4.weight' of shape (2, 2)",
                           ShapeError);
    }
    CHECK(parametrize::is_parametrized(*model->at(1), "weight"));
    CHECK(parametrize::is_parametrized(*last, "weight"));
    CHECK(masks_in(*model).size() == 4);
  }
}
