// Several methods for one tensor: what each of them sees, and what a list of them refuses.
#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/prune/prune.h"

using namespace coppice;
using namespace coppice::sparsity;
using namespace coppice::sparsity::prune;

TEST_SUITE("sparsity/prune/container") {
  TEST_CASE("containers refuse what they cannot do") {
    const PruningContainer none;
    CHECK_THROWS_AS((void)none.compute_mask(ones({2}), ones({2})), IndexError);
    CHECK_THROWS_AS((void)none[0], IndexError);
    CHECK_THROWS_AS((void)PruningContainer({std::make_shared<L1Unstructured>(1)})[-2], IndexError);
  }

  TEST_CASE("an unstructured method counts what is left, a structured one the slices with any left, a global one all") {
    const Tensor t = Tensor::of({{1, 2}, {3, 4}, {5, 6}});
    const Tensor mask = Tensor::of({{0, 0}, {1, 1}, {0, 1}});
    CHECK(combine(L1Unstructured(1), t, mask) == Tensor::of({{0, 0}, {0, 1}, {0, 1}}));
    CHECK(combine(LnStructured(1, 1, 0), t, mask) ==
          Tensor::of({{0, 0}, {0, 0}, {0, 1}}));  // scores are not masked: 7 against 11
    CHECK(combine(CustomFromMask(Tensor::of({{1, 1}, {0, 1}, {1, 1}})), t, mask) ==
          Tensor::of({{0, 0}, {0, 1}, {0, 1}}));
  }

  TEST_CASE("the last method computes; steps, positions and the name are those of the list") {
    const auto first = std::make_shared<L1Unstructured>(1), second = std::make_shared<L1Unstructured>(2);
    first->set_tensor_name("weight");
    PruningContainer list({first});
    CHECK(list.tensor_name() == "weight");
    list.add_pruning_method(second);
    CHECK(list.size() == 2);
    CHECK(list[0] == first);
    CHECK(list[-1] == second);
    CHECK(list.steps().size() == 2);
    CHECK(list.compute_mask(Tensor::of({1, 2, 3, 4}), Tensor::of({0, 1, 1, 1})) == Tensor::of({0, 0, 0, 1}));
    CHECK_THROWS_AS((void)list[2], IndexError);
    CHECK_THROWS_AS((void)list[-3], IndexError);
  }
}
