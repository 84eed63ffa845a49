// What all pruning methods have in common, and how files bring them back.
#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/prune/prune.h"

using namespace coppice;
using namespace coppice::sparsity;
using namespace coppice::sparsity::prune;

TEST_SUITE("sparsity/prune/method") {
  TEST_CASE("an unregistered method comes back from a file as a record; a registered one computes") {
    CHECK_THROWS_AS((void)make_method({"Mine", {}})->compute_mask(ones({1}), ones({1})), StateError);
    CHECK(make_method({"Mine", {}})->type_name() == "Mine");
    register_method("Mine", [](const nn::Arguments&) { return std::make_shared<L1Unstructured>(1); });
    CHECK(make_method({"Mine", {}})->compute_mask(ones({1}), ones({1})) == zeros({1}));
  }

  TEST_CASE("prune() is t times the mask, of scores if there are any, without any module") {
    const Tensor t = Tensor::of({1, -2, 3}), scores = Tensor::of({3, 2, 1});
    CHECK(L1Unstructured(1).prune(t) == Tensor::of({0, -2, 3}));
    CHECK(L1Unstructured(1).prune(t, {}, scores) == Tensor::of({1, -2, 0}));
    CHECK(L1Unstructured(1).prune(t, Tensor::of({1, 1, 0})) == Tensor::of({0, -2, 0}));
    CHECK_THROWS_AS((void)L1Unstructured(1).prune(t, ones({2})), ShapeError);
    CHECK_THROWS_AS((void)L1Unstructured(1).prune(t, {}, ones({2})), ShapeError);
  }

  TEST_CASE("every method of the library comes back from the arguments that it gives") {
    const Tensor t = Tensor::of({{1, -2, 3}, {-4, 5, 0.5}});
    for (const MethodPtr& m : std::vector<MethodPtr>{
             std::make_shared<IdentityMethod>(), std::make_shared<L1Unstructured>(2, TieRule::pytorch),
             std::make_shared<LnStructured>(1, "fro", 0), std::make_shared<LnStructured>(0.5, -1, 1),
             std::make_shared<RandomUnstructured>(0.5), std::make_shared<RandomStructured>(1, 0)}) {
      CAPTURE(std::string(m->type_name()));
      const MethodPtr back = make_method({std::string(m->type_name()), m->arguments()});
      CHECK(back->type_name() == m->type_name());
      CHECK(back->arguments() == m->arguments());
      manual_seed(3);
      const Tensor mask = m->compute_mask(t, ones_like(t));
      manual_seed(3);
      CHECK(back->compute_mask(t, ones_like(t)) == mask);
      manual_seed(3);
      CHECK(m->first_mask(t, Dtype::f32) == mask);  // the shorter way gives the same
    }
  }

  TEST_CASE("a registration needs a name and a function; arguments of files are checked") {
    CHECK_THROWS_AS(register_method("", [](const nn::Arguments&) { return std::make_shared<IdentityMethod>(); }),
                    ValueError);
    CHECK_THROWS_AS(register_method("Empty", nullptr), ValueError);
    CHECK_THROWS_AS((void)make_method({"L1Unstructured", {}}), TypeError);
    CHECK_THROWS_AS((void)make_method({"L1Unstructured", {{"amount", std::string("half")}}}), TypeError);
  }
}
