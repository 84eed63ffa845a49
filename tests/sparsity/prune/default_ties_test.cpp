// The tie rule that is set once holds for every call that is given none.
#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/mask_ops.h"
#include "coppice/sparsity/prune/prune.h"

using namespace coppice;
using namespace coppice::sparsity;
using namespace coppice::sparsity::prune;

namespace {

/// The masks of all calls, on weights that are all equal.
TensorList masks() {
  TensorList out;
  const auto add = [&](auto prune) {
    nn::Linear m(4, 4, false);
    NoGrad guard;
    m.tensor("weight").fill_(1);
    prune(m);
    out.push_back(m.tensor("weight_mask"));
  };
  add([](nn::Module& m) { l1_unstructured(m, "weight", 3); });
  add([](nn::Module& m) { ln_structured(m, "weight", 1, 2, 0); });
  add([](nn::Module& m) { apply(m, "weight", L1Unstructured(5)); });
  add([](nn::Module& m) { apply(m, "weight", LnStructured(1, 1, 1)); });
  add([](nn::Module& m) { global_unstructured({{&m, "weight"}}, L1Unstructured(7)); });
  out.push_back(mask_smallest(ones({4, 4}), 3));
  out.push_back(mask_channels(ones({4, 4}), ones({4}), 1, 0));
  return out;
}

}  // namespace

TEST_SUITE("sparsity/prune/default_ties") {
  TEST_CASE("in a scope of PyTorch's rule every call takes what PyTorch takes, and outside the lowest index") {
    const TensorList lowest = masks();
    const TieRuleScope scope(TieRule::pytorch);
    const TensorList theirs = masks();
    CHECK(lowest[0] == Tensor::of({{0, 0, 0, 1}, {1, 1, 1, 1}, {1, 1, 1, 1}, {1, 1, 1, 1}}));
    CHECK(lowest[1] == Tensor::of({{0, 0, 0, 0}, {1, 1, 1, 1}, {1, 1, 1, 1}, {1, 1, 1, 1}}));
    CHECK(theirs[1] == Tensor::of({{1, 1, 1, 1}, {0, 0, 0, 0}, {1, 1, 1, 1}, {1, 1, 1, 1}}));
    for (std::size_t i = 0; i < lowest.size(); ++i) {
      CAPTURE(i);
      CHECK(lowest[i] != theirs[i]);
      CHECK(count_nonzero(lowest[i]) == count_nonzero(theirs[i]));
    }
  }

  TEST_CASE("random structured pruning follows it too: with PyTorch's rule equal draws go together") {
    const Tensor t = ones({4096, 1});
    const TieRuleScope scope(TieRule::pytorch);
    manual_seed(1901);
    CHECK(count_nonzero(RandomStructured(2048, 0).compute_mask(t, t)) == 2047);
  }

  TEST_CASE("a rule that is given counts, whatever is set") {
    const TieRuleScope scope(TieRule::pytorch);
    const Tensor t = ones({4});
    CHECK(L1Unstructured(2, TieRule::lowest_index).prune(t) == Tensor::of({0, 0, 1, 1}));
    CHECK(mask_channels(ones({4, 4}), ones({4}), 1, 0, TieRule::lowest_index).at({0, 0}) == 0);
    Generator g(1901);
    CHECK(count_nonzero(mask_random_channels(ones({4096, 1}), 2048, 0, g, TieRule::lowest_index)) == 2048);
  }

  TEST_CASE("a method keeps the rule it was made under, in memory and in files") {
    const MethodPtr lowest = std::make_shared<L1Unstructured>(3);
    MethodPtr theirs;
    {
      const TieRuleScope scope(TieRule::pytorch);
      theirs = std::make_shared<L1Unstructured>(3);
      CHECK(lowest->prune(ones({8})) == Tensor::of({0, 0, 0, 1, 1, 1, 1, 1}));
      CHECK(make_method(lowest->steps()[0])->prune(ones({8})) == Tensor::of({0, 0, 0, 1, 1, 1, 1, 1}));
    }
    CHECK(theirs->prune(ones({8})) == Tensor::of({1, 1, 1, 1, 0, 0, 0, 1}));
    CHECK(make_method(theirs->steps()[0])->prune(ones({8})) == Tensor::of({1, 1, 1, 1, 0, 0, 0, 1}));
  }
}
