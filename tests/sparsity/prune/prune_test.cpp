// torch.nn.utils.prune on modules. PyTorch's own tests: torch_pruning_modules_test.
#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/prune/prune.h"

using namespace coppice;
using namespace coppice::sparsity;
using namespace coppice::sparsity::prune;

TEST_SUITE("sparsity/prune/prune") {
  TEST_CASE("the weight follows its original, and a clone is independent") {
    nn::Linear m(4, 2);
    l1_unstructured(m, "weight", 3);
    const nn::ModulePtr copy = m.clone();
    NoGrad guard;
    m.tensor("weight_orig").fill_(2);
    CHECK(m.tensor("weight") == m.tensor("weight_mask") * 2.0);
    CHECK(copy->tensor("weight") != m.tensor("weight"));
    CHECK(method_of(*copy, "weight")->type_name() == "L1Unstructured");
  }

  TEST_CASE("calls chain, and remove leaves the same tensor object with the masked values, last in order") {
    nn::Linear m(3, 2);
    const Tensor weight = m.tensor("weight");
    CHECK(&l1_unstructured(random_structured(m, "weight", 1, 0), "bias", 1) == &m);
    CHECK(is_pruned(m));
    const Tensor values = m.tensor("weight").detach().clone();
    CHECK(&remove(remove(m, "weight"), "bias") == &m);
    CHECK_FALSE(is_pruned(m));
    CHECK(m.tensor("weight").is(weight));
    CHECK(m.tensor("weight").detach() == values);
    CHECK_THROWS_AS(remove(m, "weight"), ValueError);
  }

  TEST_CASE("method_of gives what made a mask: nothing, the method, or the list") {
    nn::Linear m(3, 2);
    CHECK(method_of(m, "weight") == nullptr);
    l1_unstructured(m, "weight", 1);
    CHECK(method_of(m, "weight")->type_name() == "L1Unstructured");
    ln_structured(m, "weight", 1, 2, 0);
    CHECK(method_of(m, "weight")->type_name() == "PruningContainer");
    CHECK(method_of(m, "weight")->tensor_name() == "weight");
  }
}
