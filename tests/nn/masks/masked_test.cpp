#include "coppice/nn/masks/masked.h"

#include <doctest/doctest.h>

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/engine/ops/shape_ops.h"
#include "coppice/nn/layers/container.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/nn/layers/lstm.h"
#include "coppice/nn/state_dict.h"
#include "small_linear.h"

using namespace coppice;
using namespace coppice::nn;
using test::kMask, test::small;
using Names = std::vector<std::string>;

namespace {

Names parameter_names(const Module& m) {
  Names out;
  for (const auto& [name, tensor] : m.named_parameters()) out.push_back(name);
  return out;
}

}  // namespace

TEST_SUITE("nn/masked") {
  TEST_CASE("the parameter is the same tensor under another name, at the end of the order") {
    Linear m(2, 2);
    const Tensor weight = m.tensor("weight");
    attach_mask(m, "weight", kMask);
    CHECK(m.tensor("weight_orig").is(weight));
    CHECK(parameter_names(m) == Names{"bias", "weight_orig"});
    CHECK(state_dict(m).names() == Names{"bias", "weight_orig", "weight_mask"});
    CHECK(m.tensor("weight_mask") == kMask);
    CHECK_FALSE(m.tensor("weight_mask").requires_grad());
    CHECK(is_masked(m, "weight"));
    CHECK_FALSE(is_masked(m, "bias"));
    CHECK_FALSE(is_masked(m, "nothing"));
    CHECK(m.has("weight"));
  }

  TEST_CASE("attaching again multiplies, setting again replaces") {
    Linear m = small();
    attach_mask(m, "weight", Tensor::of({{1, 1}, {0, 1}}));
    attach_mask(m, "weight", Tensor::of({{0, 1}, {1, 1}}));
    CHECK(m.tensor("weight_mask") == Tensor::of({{0, 1}, {0, 1}}));
    CHECK(parameter_names(m) == Names{"bias", "weight_orig"});
    set_mask(m, "weight", Tensor::of({{1, 1}, {1, 0}}));
    CHECK(m.tensor("weight").detach() == Tensor::of({{1, -2}, {3, 0}}));
  }

  TEST_CASE("burning in writes the product into the same parameter, without the mask") {
    Linear m = small();
    const Tensor weight = m.tensor("weight");
    sum(m(ones({1, 2}))).backward();
    const Tensor grad = weight.grad();
    attach_mask(m, "weight", kMask);
    burn_in_mask(m, "weight");
    CHECK(m.tensor("weight").is(weight));
    CHECK(weight.detach() == Tensor::of({{1, 0}, {0, 4}}));
    CHECK(weight.grad().is(grad));
    CHECK(weight.requires_grad());
    CHECK(parameter_names(m) == Names{"bias", "weight"});
    CHECK(m.own_buffers().empty());
    CHECK_FALSE(is_masked(m, "weight"));
    CHECK_THROWS_AS(burn_in_mask(m, "weight"), StateError);
    attach_mask(m, "weight", kMask);  // and it can begin anew
    CHECK(m.tensor("weight_orig").is(weight));
  }

  TEST_CASE("the name may be a view of the module's own text") {
    Linear m = small();
    attach_mask(m, "weight", kMask);
    burn_in_mask(m, m.derived().begin()->first);
    CHECK(m.has("weight"));
    attach_mask(m, m.own_parameters().begin()->first, Tensor::of({1, 0}));
    CHECK(is_masked(m, "bias"));
  }

  TEST_CASE("what cannot be masked is refused, and nothing changes") {
    Linear m(2, 2, false);
    const auto unchanged = [&] {
      CHECK(parameter_names(m) == Names{"weight"});
      CHECK(m.derived().empty());
    };
    CHECK_THROWS_AS(attach_mask(m, "weight", ones({2})), ShapeError);
    CHECK_THROWS_AS(attach_mask(m, "weight", ones({1, 2})), ShapeError);  // no broadcasting
    CHECK_THROWS_AS(set_mask(m, "weight", ones({4})), ShapeError);
    CHECK_THROWS_AS(attach_mask(m, "nothing", kMask), KeyError);
    CHECK_THROWS_AS(attach_mask(m, "bias", ones({2})), KeyError);  // an empty slot
    unchanged();
    m.register_buffer("b", ones({2}));
    CHECK_THROWS_AS(attach_mask(m, "b", ones({2})), KeyError);
    m.register_buffer("weight_mask", ones({2}));
    CHECK_THROWS_AS(attach_mask(m, "weight", kMask), KeyError);
    unchanged();
    CHECK(m.own_buffers().size() == 2);
    attach_mask(*std::make_shared<Linear>(2, 2), "weight", kMask);
    Linear again = small();
    attach_mask(again, "weight", kMask);
    CHECK_THROWS_AS(attach_mask(again, "weight", ones({2})), ShapeError);
    CHECK(again.tensor("weight_mask") == kMask);
  }

  TEST_CASE("an original can be masked itself, and the inner mask is seen at once") {
    Linear m = small();
    attach_mask(m, "weight", kMask);
    attach_mask(m, "weight_orig", Tensor::of({{0, 1}, {1, 1}}));
    CHECK(parameter_names(m) == Names{"bias", "weight_orig_orig"});
    CHECK(m.tensor("weight").detach() == Tensor::of({{0, 0}, {0, 4}}));
    sum(m(Tensor::of({{10, 20}}))).backward();
    CHECK(m.tensor("weight_orig_orig").grad() == Tensor::of({{0, 0}, {0, 20}}));
    CHECK_THROWS_AS(burn_in_mask(m, "weight"), StateError);
    burn_in_mask(m, "weight_orig");
    burn_in_mask(m, "weight");
    CHECK(m.tensor("weight").detach() == Tensor::of({{0, 0}, {0, 4}}));
  }

  TEST_CASE("a clone of a masked module is independent, also in the middle of training") {
    Linear m = small();
    attach_mask(m, "weight", kMask);
    sum(m(ones({1, 2}))).backward();
    const ModulePtr copy = m.clone();
    CHECK(is_masked(*copy, "weight"));
    CHECK_FALSE(copy->tensor("weight_orig").grad().defined());
    {
      const NoGrad off;
      copy->tensor("weight_orig").fill_(9);
      copy->tensor("weight_mask").fill_(1);
    }
    CHECK(copy->tensor("weight").detach() == full({2, 2}, 9));
    CHECK(m.tensor("weight").detach() == Tensor::of({{1, 0}, {0, 4}}));
    burn_in_mask(*copy, "weight");
    CHECK(is_masked(m, "weight"));
    sum((*copy)(ones({1, 2}))).backward();
    CHECK(copy->tensor("weight").grad() == ones({2, 2}));
  }

  TEST_CASE("masked_slots walks the tree; an LSTM's weights are masked by name") {
    Sequential net{std::make_shared<Linear>(2, 2),
                   std::make_shared<LSTM>(LstmSettings{.input_size = 2, .hidden_size = 1})};
    attach_mask(*net.at(0), "weight", kMask);
    attach_mask(*net.at(1), "weight_hh_l0", zeros({4, 1}));
    const auto slots = masked_slots(net);
    REQUIRE(slots.size() == 2);
    CHECK(slots[0].path == "0.weight");
    CHECK(slots[1].path == "1.weight_hh_l0");
    CHECK(slots[1].original.is(net.at(1)->tensor("weight_hh_l0_orig")));
    CHECK(net(zeros({3, 1, 2})).shape() == Shape{3, 1, 1});
  }

  TEST_CASE("an origin is kept with its mask, through attaching and cloning") {
    Linear m = small();
    CHECK_THROWS_AS((void)mask_origin(m, "weight"), StateError);
    attach_mask(m, "weight", kMask);
    CHECK(mask_origin(m, "weight") == nullptr);
    const auto origin = std::make_shared<MaskHistory>(std::vector<MaskStep>{{"l1", {{"amount", 0.5}}}});
    set_mask(m, "weight", kMask, origin);
    attach_mask(m, "weight", kMask);
    CHECK(mask_origin(m, "weight") == origin);
    CHECK(mask_origin(*m.clone(), "weight")->steps()[0].type == "l1");
  }

  TEST_CASE("a mask of a shape that broadcasts is repeated, as in PyTorch; others are refused and change nothing") {
    const Tensor row = Tensor::of({1, 0}), twice = Tensor::of({2});
    const std::vector<std::pair<Tensor, Tensor>> masks{{row, Tensor::of({{1, 0}, {3, 0}})},
                                                       {row.reshape({2, 1}), Tensor::of({{1, -2}, {0, 0}})},
                                                       {zeros(Shape{}), zeros({2, 2})},
                                                       {twice.reshape({1, 1}), Tensor::of({{2, -4}, {6, 8}})},
                                                       {row.to(Dtype::boolean), Tensor::of({{1, 0}, {3, 0}})}};
    for (const auto& [mask, expected] : masks) {
      CAPTURE(to_string(expected));
      Linear m = small();
      attach_mask(m, "weight", kMask);
      m.set_tensor("weight_mask", mask);
      CHECK(m.tensor("weight").detach() == expected);
      CHECK(m.tensor("weight_mask").shape() == Shape{2, 2});
      CHECK(m.tensor("weight_mask").dtype() == mask.dtype());
      m.register_buffer("weight_mask", ones({2, 2}));
      m.register_buffer("weight_mask", mask);
      CHECK(m.tensor("weight").detach() == expected);
      sum(m.tensor("weight")).backward();
      CHECK(m.tensor("weight_orig").grad() == m.tensor("weight_mask").to(Dtype::f32));
    }
    Linear m = small();
    attach_mask(m, "weight", kMask);
    for (const Tensor& mask : {ones({3}), ones({2, 1, 2}), ones({1, 2, 2}), ones({0}), Tensor()}) {
      CHECK_THROWS_AS(m.set_tensor("weight_mask", mask), ShapeError);
      CHECK_THROWS_AS(m.register_buffer("weight_mask", mask), ShapeError);
      CHECK(m.tensor("weight_mask") == kMask);
    }
    const Tensor own = ones({2, 2});
    m.set_tensor("weight_mask", own);
    CHECK(m.tensor("weight_mask").is(own));
  }
}
