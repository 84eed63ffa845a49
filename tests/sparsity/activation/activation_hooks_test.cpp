// What the hooks of an activation sparsifier do to the inputs of layers.
#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "sparsity/activation/identities.h"

using namespace coppice;
using namespace coppice::test;

namespace {

/// The sum of two inputs.
class Both final : public nn::Implements<Both, nn::Module> {
 public:
  static constexpr std::string_view kType = "test.activation.Both";

 protected:
  [[nodiscard]] TensorList forward(const TensorList& inputs) const override { return {inputs.at(0) + inputs.at(1)}; }
};

}  // namespace

TEST_SUITE("sparsity/activation/activation_hooks") {
  TEST_CASE("features have masks of their own, which apply to a copy or, as in PyTorch, to the input itself") {
    for (const bool in_place : {false, true}) {
      CAPTURE(in_place);
      const auto model = identities(1);
      ActivationSparsifier s(*model, kOptions, in_place);
      s.register_layer(*model->at(0), features({0, 2}));
      (void)(*model)(kX1);
      (void)(*model)(kX2);
      CHECK(many(s.data("0")) == TensorList{Tensor::of({1, 0}).reshape({2, 1}), Tensor::of({4, 0}).reshape({2, 1})});
      s.step();
      CHECK(many(s.get_mask("0")) == TensorList{ones({1}), ones({1})});  // half of one is none

      const CatchWarnings caught;
      s.register_layer(*model->at(0), features({0, 2}, -1, 1));
      (void)(*model)(kX1);
      s.step();
      s.squash_mask();
      Tensor x = kX1.clone();
      const Tensor masked = Tensor::of({{0, -2, 0, -4}, {0, 6, 0, 8}});
      CHECK((*model)(x) == masked);
      CHECK((x == masked) == in_place);
      CHECK((x == kX1) == !in_place);
      if (!in_place) continue;
      x = kX1.clone().requires_grad_();
      CHECK_THROWS_AS((void)(*model)(x), StateError);
    }
  }

  TEST_CASE("gradients are the mask times what comes") {
    for (const bool listed : {false, true}) {
      const auto model = identities(1);
      ActivationSparsifier s(*model, kOptions);
      s.register_layer(*model->at(0), listed ? features({0, 2}, 1, 1) : ActivationOptions());
      (void)(*model)(kX1 + kX2);
      s.step();
      s.squash_mask();
      const Tensor x = kX1.clone().requires_grad_();
      sum((*model)(x)).backward();
      CHECK(x.grad() == Tensor::of({{0, 1, 0, 1}, {0, 1, 0, 1}}));
    }
  }

  TEST_CASE("layers that have one function between them collect apart, in training and in evaluation") {
    const auto model = identities(2);
    ActivationOptions defaults = kOptions;
    defaults.aggregate_fn = AggregateFunction("coppice.mean");
    ActivationSparsifier s(*model, defaults);
    s.register_layer(*model->at(0));
    s.register_layer(*model->at(1));
    (void)(*model)(kX1);
    model->eval();
    (void)(*model->at(0))(kX2);
    CHECK(one(s.data("0")) == Tensor::of({{0.5, 0, 2, 0}, {0, 3.5, 0, 4.5}}));
    CHECK(one(s.data("1")) == kX1);
  }

  TEST_CASE("a layer that stands twice collects twice, and has its first name") {
    const auto shared = std::make_shared<nn::Identity>();
    nn::Sequential model{shared, shared};
    ActivationSparsifier s(model, kOptions);
    s.register_layer(*model.at(1));
    CHECK(s.names() == Names{"0"});
    (void)model(kX1);
    CHECK(one(s.data("0")) == kX1 + kX1);
  }

  TEST_CASE("what is collected is outside any graph") {
    const auto model = identities(1);
    ActivationSparsifier s(*model, kOptions);
    s.register_layer(*model->at(0));
    (void)(*model)(kX1.clone().requires_grad_());
    CHECK_FALSE(one(s.data("0")).requires_grad());
  }

  TEST_CASE("the first of several inputs is masked, the others pass") {
    Both layer;
    ActivationSparsifier s(layer, kOptions);
    s.register_layer(layer);
    CHECK(s.names() == Names{""});
    (void)layer(TensorList{kX1 + kX2, kX2});
    s.step();
    s.squash_mask();
    CHECK(layer(TensorList{kX1, kX2})[0] == Tensor::of({{0, 0, 1, 0}, {-5, 7, 7, 9}}));
  }

  TEST_CASE("no features at all leave the input as it is; a feature may stand twice") {
    const auto model = identities(1);
    ActivationSparsifier s(*model, kOptions);
    s.register_layer(*model->at(0), features({}));
    (void)(*model)(kX1);
    s.step();
    CHECK(many(s.get_mask("0")).empty());
    s.squash_mask();
    CHECK((*model)(kX1) == kX1);
    const CatchWarnings caught;
    s.register_layer(*model->at(0), features({3, 3}, 1, 1));
    (void)(*model)(kX1);
    s.step();
    s.squash_mask();
    CHECK((*model)(kX1) == Tensor::of({{1, -2, 3, 0}, {5, 6, -7, 0}}));
  }

  TEST_CASE("inputs that do not fit are refused in the pass, and what was collected stays") {
    const auto model = identities(1);
    ActivationSparsifier s(*model, kOptions);
    s.register_layer(*model->at(0));
    (void)(*model)(kX1);
    CHECK_THROWS_AS((void)(*model)(ones({3, 4})), ShapeError);
    CHECK_THROWS_AS((void)(*model->at(0))(TensorList{}), IndexError);
    CHECK(one(s.data("0")) == kX1);
    const CatchWarnings caught;
    s.register_layer(*model->at(0), features({4}));
    CHECK_THROWS_AS((void)(*model)(kX1), IndexError);
    s.register_layer(*model->at(0), features({0}, 2));
    CHECK_THROWS_AS((void)(*model)(kX1), IndexError);
    s.register_layer(*model->at(0), {.reduce_fn = ReduceFunction("coppice.identity")});
    (void)(*model)(kX1);
    s.step();
    s.squash_mask();
    CHECK_THROWS_AS((void)(*model)(ones({3, 4})), ShapeError);
  }

  TEST_CASE("when it goes, collecting ends and masks stay") {
    const auto model = identities(2);
    {
      ActivationSparsifier s(*model, kOptions);
      s.register_layer(*model->at(0));
      (void)(*model)(kX1 + kX2);
      s.step();
      s.squash_mask();
      s.register_layer(*model->at(1));
    }
    CHECK(model->at(1)->forward_pre_hooks().empty());
    CHECK((*model)(kX1) == Tensor::of({{0, -2, 0, -4}, {0, 6, 0, 8}}));
  }
}
