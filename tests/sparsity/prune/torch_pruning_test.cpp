// The cases of PyTorch's own test file that need no module, or one layer with known weights; same names.
#include <doctest/doctest.h>

#include <algorithm>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/prune/prune.h"

using namespace coppice;
using namespace coppice::sparsity;
using namespace coppice::sparsity::prune;

namespace {

const Tensor kT = Tensor::of({{1, 2, 3, 4}, {5, 6, 7, 8}});
Tensor default_mask() { return Tensor::of({{1, 1, 1, 0}, {1, 1, 0, 1}}).to(Dtype::i64); }

/// A linear layer with these weights and without bias.
nn::Linear linear(const Tensor& weight) {
  nn::Linear m(weight.size(1), weight.size(0), false);
  nn::load_state_dict(m, NamedTensors{{"weight", weight}});
  return m;
}
const Tensor kWeight = Tensor::of({{1, 2, 3, 4}, {-4, -3, -2, -1}});
const Tensor kScores = Tensor::of({{4, 2, 1, 3}, {-3, -1, -2, -4}});

/// A method for the tensor "test".
template <class M>
MethodPtr for_test(M method) {
  method.set_tensor_name("test");
  return std::make_shared<M>(std::move(method));
}

/// Conv2d(3, 1, 2) with the weights of the test file.
nn::Conv2d conv() {
  nn::Conv2d m(3, 1, 2);
  const std::vector<float> w{1, 2, 1, 2.5F, .5F, 1, .1F, .1F, -3, -5, .1F, -1};
  NoGrad guard;
  m.tensor("weight").copy_(Tensor::from(w, {1, 3, 2, 2}));
  return m;
}
/// Random entries out of -2, 0 and 2, all of which occur.
Tensor minus_two_zero_two(const Shape& shape) {
  Generator g(3);
  const Tensor t = (randint(0, 3, shape, Dtype::i64, &g) - 1.0) * 2.0;
  for (const double value : {-2, 0, 2}) CHECK(any(eq(t, Tensor::of(value))).item() == 1);
  CHECK(max(abs(t)).item() == 2);
  return t;
}
/// The mask that leaves this channel out, and then this column as well.
Tensor channel_mask(std::int64_t channel, std::int64_t column = -1) {
  Tensor mask = ones({1, 3, 2, 2});
  for (std::int64_t c = 0; c < 3; ++c)
    for (std::int64_t y = 0; y < 2; ++y)
      for (std::int64_t x = 0; x < 2; ++x)
        if (c == channel || x == column) mask.set_({0, c, y, x}, 0);
  return mask;
}
std::vector<float> values(const nn::Module& m) { return m.tensor("weight").to_vector<float>(); }

}  // namespace

TEST_SUITE("torch/test/nn/test_pruning.py") {
  TEST_CASE("test_validate_pruning_amount_init") {
    // Text is refused by the compiler.
    static_assert(!std::is_constructible_v<Amount, const char*>);
    CHECK_THROWS_AS(Amount(1.1), ValueError);
    CHECK_THROWS_AS(Amount(20.0), ValueError);
    CHECK_THROWS_AS(Amount(-10), ValueError);
    for (const double fraction : {0.34, 0.0, 1.0}) CHECK_NOTHROW((void)Amount(fraction));
    for (const int count : {1500, 0, 1}) CHECK_NOTHROW((void)Amount(count));
  }

  TEST_CASE("test_validate_pruning_amount") {
    CHECK_THROWS_AS((void)Amount(20).of(19), ValueError);
    CHECK(Amount(0.3).of(0) == 0);
    CHECK(Amount(19).of(20) == 19);
    CHECK(Amount(0).of(0) == 0);
    CHECK(Amount(1).of(1) == 1);
  }

  TEST_CASE("test_compute_nparams_to_prune") {
    CHECK(Amount(0).of(15) == 0);
    CHECK(Amount(10).of(15) == 10);
    CHECK(Amount(1).of(15) == 1);
    CHECK(Amount(1.0).of(15) == 15);
    CHECK(Amount(0.4).of(17) == 7);
  }

  TEST_CASE("test_pruning_container") {
    PruningContainer container;
    container.set_tensor_name("test");
    CHECK(container.size() == 0);
    container.add_pruning_method(for_test(L1Unstructured(2)));
    CHECK(container.size() == 1);
    CHECK(container[0]->tensor_name() == "test");
    const auto other = std::make_shared<L1Unstructured>(2);
    other->set_tensor_name("another_test");
    CHECK_THROWS_AS(container.add_pruning_method(other), ValueError);
    CHECK_THROWS_AS(container.add_pruning_method(nullptr), TypeError);
    static_assert(!std::is_convertible_v<int, MethodPtr> && !std::is_convertible_v<const char*, MethodPtr>);
    CHECK(container.size() == 1);
  }

  TEST_CASE("test_pruning_container_compute_mask") {
    PruningContainer container;
    container.set_tensor_name("test");
    const Tensor d = default_mask();
    container.add_pruning_method(for_test(L1Unstructured(2)));
    CHECK(container.compute_mask(kT, d) == Tensor::of({{0, 0, 1, 0}, {1, 1, 0, 1}}));
    container.add_pruning_method(for_test(LnStructured(1, 2, 0)));
    CHECK(container.compute_mask(kT, d) == Tensor::of({{0, 0, 0, 0}, {1, 1, 0, 1}}));
    container.add_pruning_method(for_test(LnStructured(1, 2, 1)));
    CHECK(container.compute_mask(kT, d) == Tensor::of({{0, 1, 1, 0}, {0, 1, 0, 1}}));
    CHECK(d == default_mask());
  }

  TEST_CASE("test_l1_unstructured_pruning") {
    nn::Linear m = linear(kWeight);
    l1_unstructured(m, "weight", 2);
    CHECK(m.tensor("weight") == Tensor::of({{0, 2, 3, 4}, {-4, -3, -2, 0}}));
    l1_unstructured(m, "weight", 2);
    CHECK(m.tensor("weight") == Tensor::of({{0, 0, 3, 4}, {-4, -3, 0, 0}}));
  }

  TEST_CASE("test_l1_unstructured_pruning_with_importance_scores") {
    nn::Linear m = linear(kWeight);
    l1_unstructured(m, "weight", 2, kScores);
    CHECK(m.tensor("weight") == Tensor::of({{1, 2, 0, 4}, {-4, 0, -2, -1}}));
    l1_unstructured(m, "weight", 2, kScores);
    CHECK(m.tensor("weight") == Tensor::of({{1, 0, 0, 4}, {-4, 0, 0, -1}}));
  }

  TEST_CASE("test_unstructured_pruning_same_magnitude") {
    const Tensor t = minus_two_zero_two({10, 7}).to(Dtype::i64);
    const Tensor mask = L1Unstructured(0.2).compute_mask(t, ones_like(t));
    CHECK(mask.dtype() == Dtype::i64);
    CHECK(t.numel() - count_nonzero(mask) == 14);
  }

  TEST_CASE("test_random_structured_pruning_amount") {
    const Tensor t = minus_two_zero_two({5, 4, 2});
    CHECK(Amount(0.6).of(t.size(2)) == 1);
    const Tensor mask = RandomStructured(0.6, 2).compute_mask(t, ones_like(t));
    std::vector<std::int64_t> zeros_per_slice;
    for (int i = 0; i < 2; ++i) zeros_per_slice.push_back(20 - count_nonzero(select(mask, 2, i)));
    std::ranges::sort(zeros_per_slice);
    CHECK(zeros_per_slice == std::vector<std::int64_t>{0, 20});
  }

  TEST_CASE("test_ln_structured_pruning") {
    nn::Conv2d m = conv();
    ln_structured(m, "weight", 1, 2, 1);
    CHECK(m.tensor("weight_mask") == channel_mask(1));
    CHECK(values(m) == std::vector<float>{1, 2, 1, 2.5F, 0, 0, 0, 0, -3, -5, .1F, -1});
    ln_structured(m, "weight", 1, 1, -1);
    CHECK(m.tensor("weight_mask") == channel_mask(1, 0));
    CHECK(values(m) == std::vector<float>{0, 2, 0, 2.5F, 0, 0, 0, 0, 0, -5, 0, -1});
  }

  TEST_CASE("test_ln_structured_pruning_importance_scores") {
    nn::Conv2d m = conv();
    const std::vector<float> rows{10, 1, 10, 1, 30, 3, 30, 3, -20, -2, -20, -2};
    const Tensor scores = Tensor::from(rows, {1, 3, 2, 2});
    ln_structured(m, "weight", 1, 2, 1, scores);
    CHECK(m.tensor("weight_mask") == channel_mask(0));
    CHECK(values(m) == std::vector<float>{0, 0, 0, 0, .5F, 1, .1F, .1F, -3, -5, .1F, -1});
    ln_structured(m, "weight", 1, 1, -1, scores);
    CHECK(m.tensor("weight_mask") == channel_mask(0, 1));
    CHECK(values(m) == std::vector<float>{0, 0, 0, 0, .5F, 0, .1F, 0, -3, 0, .1F, 0});
  }

  TEST_CASE("test_global_pruning") {
    nn::Linear a = linear(kWeight), b = linear(Tensor::of({{0, .1, -2}}));
    global_unstructured({{&a, "weight"}, {&b, "weight"}}, L1Unstructured(4));
    CHECK(a.tensor("weight") == Tensor::of({{0, 2, 3, 4}, {-4, -3, -2, 0}}));
    CHECK(b.tensor("weight") == Tensor::of({{0, 0, -2}}));
  }

  TEST_CASE("test_global_pruning_importance_scores") {
    nn::Linear a = linear(kWeight), b = linear(Tensor::of({{0, .1, -2}}));
    global_unstructured({{&a, "weight"}, {&b, "weight"}}, L1Unstructured(4),
                        {{{&a, "weight"}, kScores}, {{&b, "weight"}, Tensor::of({{0, 10, -.2}})}});
    CHECK(a.tensor("weight") == Tensor::of({{1, 2, 0, 4}, {-4, 0, -2, -1}}));
    CHECK(b.tensor("weight") == Tensor::of({{0, .1, 0}}));
  }

  TEST_CASE("test_custom_from_mask_pruning") {
    const Tensor mask = Tensor::of({{0, 1, 1, 0}, {0, 0, 1, 1}}).to(Dtype::i64);
    const Tensor before = Tensor::of({{0, 0, 0, 0}, {1, 1, 1, 1}}).to(Dtype::i64);
    const Tensor result = CustomFromMask(mask).compute_mask(rand({2, 4}), before);
    CHECK(result.dtype() == Dtype::i64);
    CHECK(result == Tensor::of({{0, 0, 0, 0}, {0, 0, 1, 1}}).to(Dtype::i64));
  }

  TEST_CASE("test_prune") {
    CHECK(L1Unstructured(2).prune(kT, default_mask()) == kT * Tensor::of({{0, 0, 1, 0}, {1, 1, 0, 1}}));
  }

  TEST_CASE("test_prune_importance_scores") {
    const Tensor scores = Tensor::of({{1, 2, 3, 4}, {1.5, 1.6, 1.7, 1.8}});
    CHECK(L1Unstructured(2).prune(kT, default_mask(), scores) == kT * Tensor::of({{0, 1, 1, 0}, {0, 1, 0, 1}}));
  }

  TEST_CASE("test_prune_importance_scores_mimic_default") {
    const Tensor same = L1Unstructured(2).prune(kT, default_mask(), kT);
    CHECK(same == L1Unstructured(2).prune(kT, default_mask()));
    CHECK(same == kT * Tensor::of({{0, 0, 1, 0}, {1, 1, 0, 1}}));
  }
}
