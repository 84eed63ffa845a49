// A program that opens every namespace writes PyTorch's names without qualification, and no name is ambiguous.
#include <doctest/doctest.h>

#include "coppice/sparsity.h"

using namespace coppice;
using namespace coppice::nn;
using namespace coppice::sparsity;
using namespace coppice::sparsity::prune;

TEST_SUITE("sparsity/using_directives") {
  TEST_CASE("Identity is the layer, identity the pruning, and IdentityMethod its method") {
    Sequential model{std::make_shared<Linear>(4, 3), std::make_shared<Identity>()};
    Identity layer;
    CHECK(layer(ones({2, 2})) == ones({2, 2}));
    identity(*model.at(0), "weight");
    CHECK(method_of(*model.at(0), "weight")->type_name() == "Identity");
    CHECK(apply(*model.at(0), "weight", IdentityMethod())->type_name() == "PruningContainer");
    CHECK(count_nonzero(model.at(0)->tensor("weight_mask")) == 12);
    CHECK(is_pruned(model));
    remove(*model.at(0), "weight");
  }

  TEST_CASE("every other name of PyTorch's pruning stands as it is") {
    Linear a(4, 3), b(4, 3);
    l1_unstructured(random_unstructured(a, "weight", 1), "weight", 1);
    ln_structured(random_structured(b, "weight", 1, 0), "weight", 1, "inf", 0);
    custom_from_mask(a, "bias", zeros({3}));
    global_unstructured({{&a, "weight"}, {&b, "weight"}}, L1Unstructured(2));
    global_unstructured({{&a, "weight"}, {&b, "weight"}}, RandomUnstructured(1));
    PruningContainer all;
    for (const MethodPtr& m :
         {MethodPtr(std::make_shared<LnStructured>(1, 2)), MethodPtr(std::make_shared<RandomStructured>(Amount(1))),
          MethodPtr(std::make_shared<CustomFromMask>(ones({3})))})
      all.add_pruning_method(m);
    CHECK(all.size() == 3);
    CHECK(count_nonzero(a.tensor("weight_mask")) + count_nonzero(b.tensor("weight_mask")) == 10 + 4 - 3);
  }
}
