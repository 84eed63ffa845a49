// Traps of torch.nn.utils.prune that concern modules, hooks, training and storage: reproduced, or better on purpose
// where docs/differences.md says so.
#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/prune/prune.h"

using namespace coppice;
using namespace coppice::sparsity;
using namespace coppice::sparsity::prune;

namespace {

class Twice final : public nn::Implements<Twice> {
 public:
  static constexpr std::string_view kType = "Twice";

 private:
  Tensor forward(const Tensor& x) const override { return x * 2.0; }
};

/// A method that says nothing about its type.
class First final : public Method {
 public:
  Tensor compute_mask(const Tensor& scores, const Tensor& mask) const override {
    seen.push_back(scores.numel());
    Tensor out = mask.clone();
    if (scores.numel() > 0) out.reshape({-1}).set_({0}, 0);
    return out;
  }
  mutable std::vector<std::int64_t> seen;
};

/// A type that is none of the three.
class Odd final : public Method {
 public:
  PruningType pruning_type() const override { return static_cast<PruningType>(7); }
  Tensor compute_mask(const Tensor&, const Tensor& mask) const override { return mask; }
};

/// Linear(2, 2) without bias, of given weights.
std::shared_ptr<nn::Linear> linear(const Tensor& weight) {
  auto m = std::make_shared<nn::Linear>(2, 2, false);
  NoGrad guard;
  m->tensor("weight").copy_(weight);
  return m;
}

const Tensor kWeight = Tensor::of({{1, 2}, {3, 4}});

}  // namespace

TEST_SUITE("sparsity/prune/traps") {
  TEST_CASE("trap: a pruning after an optimiser step ranks the new values, not those of the last call") {
    const auto m = linear(kWeight);
    l1_unstructured(*m, "weight", 1);
    (void)(*m)(ones({1, 2}));
    {
      NoGrad guard;
      m->tensor("weight_orig").copy_(Tensor::of({{9, 8}, {3, 1}}));
    }
    l1_unstructured(*m, "weight", 1);
    CHECK(m->tensor("weight_mask") == Tensor::of({{0, 1}, {1, 0}}));
  }

  TEST_CASE(
      "trap: weight decay and momentum move masked entries of the original; set_mask of the optimiser keeps them 0") {
    for (const bool kept : {false, true}) {
      const auto m = linear(ones({2, 2}));
      nn::SGD sgd(m->parameters(), {.lr = 0.1, .momentum = 0.9, .weight_decay = 0.5});
      custom_from_mask(*m, "weight", Tensor::of({{0, 1}, {1, 1}}));
      if (kept) sgd.set_mask(m->tensor("weight_orig"), m->tensor("weight_mask"));
      sum((*m)(zeros({1, 2}))).backward();
      sgd.step();
      CHECK(m->tensor("weight_orig").at({0, 0}) == doctest::Approx(kept ? 0 : 0.95));
      sgd.step();  // momentum: 0.9 * 0.5 + 0.5 * 0.95
      CHECK(m->tensor("weight_orig").at({0, 0}) == doctest::Approx(kept ? 0 : 0.95 - 0.0925));
      CHECK(m->tensor("weight").at({0, 0}) == 0);
    }
  }

  TEST_CASE("trap: of a tied parameter only the pruned owner sees the mask; a shared module is pruned once") {
    const auto a = linear(kWeight), b = linear(kWeight);
    b->slots().erase("weight");
    b->register_parameter("weight", a->tensor("weight"));
    nn::Sequential tied{a, b};
    l1_unstructured(*a, "weight", 2);
    CHECK(a->tensor("weight").detach() == Tensor::of({{0, 0}, {3, 4}}));
    CHECK(b->tensor("weight") == kWeight);
    REQUIRE(tied.named_parameters().size() == 1);
    CHECK(tied.named_parameters()[0].first == "0.weight_orig");
    const auto shared = linear(kWeight);
    nn::Sequential both{shared, shared};
    l1_unstructured(*shared, "weight", 2);
    CHECK(nn::state_dict(both).names() ==
          std::vector<std::string>{"0.weight_orig", "0.weight_mask", "1.weight_orig", "1.weight_mask"});
    CHECK(both(Tensor::of({{1, 1}})) == Tensor::of({{0, 28}}));
  }

  TEST_CASE("trap: the user's pre-hooks see the masked weight, whether they came before or after a pruning") {
    const auto m = linear(kWeight);
    std::vector<Tensor> seen;
    const auto look = [&](const nn::Module& module, const TensorList&) -> std::optional<TensorList> {
      seen.push_back(module.tensor("weight").detach());
      return std::nullopt;
    };
    const auto before = m->register_forward_pre_hook(look);
    l1_unstructured(*m, "weight", 1);
    const auto between = m->register_forward_pre_hook(look);
    l1_unstructured(*m, "weight", 1);
    (void)(*m)(ones({1, 2}));
    REQUIRE(seen.size() == 2);
    for (const Tensor& t : seen) CHECK(t == Tensor::of({{0, 0}, {3, 4}}));
  }

  TEST_CASE("trap: remove keeps the tensor but not its bytes, and leaves the gradient as it is") {
    const auto m = linear(kWeight);
    const Tensor weight = m->tensor("weight"), view = weight.detach();
    sum((*m)(ones({1, 2}))).backward();
    custom_from_mask(*m, "weight", zeros({2, 2}));
    remove(*m, "weight");
    CHECK(m->tensor("weight").is(weight));
    CHECK(weight.detach() == zeros({2, 2}));
    CHECK_FALSE(weight.shares_storage(view));
    CHECK(view == kWeight);
    CHECK(weight.grad() == ones({2, 2}));
  }

  TEST_CASE("trap: the original of a pruned weight can be pruned, is seen at once, and both are removed in turn") {
    const auto m = linear(kWeight);
    l1_unstructured(*m, "weight", 1);
    custom_from_mask(*m, "weight_orig", Tensor::of({{1, 0}, {1, 1}}));
    CHECK(m->tensor("weight").detach() == Tensor::of({{0, 0}, {3, 4}}));
    CHECK(m->own_parameters().contains("weight_orig_orig"));
    CHECK_THROWS_AS(remove(*m, "weight"), StateError);
    remove(*m, "weight_orig");
    remove(*m, "weight");
    CHECK(m->tensor("weight").detach() == Tensor::of({{0, 0}, {3, 4}}));
    CHECK_FALSE(is_pruned(*m));
  }

  TEST_CASE("trap: a conversion of types reaches the masked weight at once") {
    const auto m = linear(kWeight);
    l1_unstructured(*m, "weight", 1);
    m->to(Dtype::f64);
    for (const char* name : {"weight", "weight_orig", "weight_mask"}) CHECK(m->tensor(name).dtype() == Dtype::f64);
    CHECK((*m)(ones({1, 2}, Dtype::f64)) == Tensor::of({{2, 7}}).to(Dtype::f64));
  }

  TEST_CASE("trap: a method that says no type is unstructured from the first pruning on; an unknown type is refused") {
    const auto m = linear(kWeight);
    const auto method = std::make_shared<First>();
    apply(*m, "weight", MethodPtr(method));
    apply(*m, "weight", MethodPtr(method));
    CHECK(method->seen == std::vector<std::int64_t>{4, 3});  // the second time what is left
    CHECK(m->tensor("weight_mask") == Tensor::of({{0, 0}, {1, 1}}));
    CHECK_THROWS_AS(apply(*m, "weight", Odd()), ValueError);
    CHECK(m->tensor("weight_mask") == Tensor::of({{0, 0}, {1, 1}}));
    CHECK_THROWS_AS(global_unstructured({{m.get(), "weight"}}, Odd()), TypeError);
  }

  TEST_CASE("trap: a clone in the middle of training works and goes its own way") {
    const auto m = linear(kWeight);
    l1_unstructured(*m, "weight", 1);
    sum((*m)(ones({1, 2}))).backward();
    const nn::ModulePtr copy = m->clone();
    l1_unstructured(*copy, "weight", 1);
    CHECK(method_of(*copy, "weight")->steps().size() == 2);
    CHECK(method_of(*m, "weight")->steps().size() == 1);
    CHECK(m->tensor("weight_mask") == Tensor::of({{0, 1}, {1, 1}}));
    sum((*copy)(ones({1, 2}))).backward();
    CHECK(copy->tensor("weight_orig").grad() == copy->tensor("weight_mask"));
  }

  TEST_CASE("what is parametrized or half pruned cannot be pruned; a pruned weight cannot be parametrized") {
    const auto m = linear(kWeight);
    nn::parametrize::register_parametrization(*m, "weight", std::make_shared<Twice>());
    CHECK_THROWS_AS(l1_unstructured(*m, "weight", 1), TypeError);
    const auto half = linear(kWeight);
    half->slots().rename_parameter("weight", "weight_orig");
    half->set_tensor("weight", kWeight.clone());
    CHECK_THROWS_AS(l1_unstructured(*half, "weight", 1), TypeError);
    const auto taken = linear(kWeight);
    taken->register_buffer("weight_orig", ones({1}));
    CHECK_THROWS_AS(l1_unstructured(*taken, "weight", 1), KeyError);
    CHECK(taken->own_parameters().contains("weight"));
    const auto pruned = linear(kWeight);
    l1_unstructured(*pruned, "weight", 1);
    CHECK_THROWS_AS(nn::parametrize::register_parametrization(*pruned, "weight", std::make_shared<Twice>()),
                    ValueError);
    nn::parametrize::register_parametrization(*pruned, "weight_orig", std::make_shared<Twice>());  // its original can
    CHECK(pruned->tensor("weight").detach() == Tensor::of({{0, 4}, {6, 8}}));
  }
}
