// Which tensor a method is for, names that are wrong or taken, and which of several faults is named first.
#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/prune/prune.h"
#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::sparsity;
using namespace coppice::sparsity::prune;

namespace {

class Mine : public Method {
 public:
  Tensor compute_mask(const Tensor&, const Tensor& mask) const override { return mask; }
};

class Copied final : public Mine {
 public:
  std::shared_ptr<Method> copy() const override { return std::make_shared<Copied>(*this); }
};

/// Takes whatever is there, writes to the mask that it may not write to, and fails.
class Vandal final : public Method {
 public:
  PruningType pruning_type() const override { return PruningType::global; }
  Tensor compute_mask(const Tensor&, const Tensor& mask) const override {
    Tensor(mask).fill_(7);
    throw std::runtime_error("on purpose");
  }
};

}  // namespace

TEST_SUITE("sparsity/prune/names") {
  TEST_CASE("apply returns a method that knows its tensor, the first time and later, whatever its type") {
    const std::vector<MethodPtr> all{
        std::make_shared<IdentityMethod>(),
        std::make_shared<RandomUnstructured>(1),
        std::make_shared<L1Unstructured>(1),
        std::make_shared<RandomStructured>(1, 0),
        std::make_shared<LnStructured>(1, 2, 0),
        std::make_shared<CustomFromMask>(ones({3, 4})),
        std::make_shared<PruningContainer>(std::vector<MethodPtr>{std::make_shared<L1Unstructured>(1)}),
        std::make_shared<Copied>()};
    for (const MethodPtr& method : all) {
      CAPTURE(method->type_name());
      nn::Linear m(4, 3);
      const MethodPtr first = apply(m, "weight", method);
      CHECK(first->tensor_name() == "weight");
      CHECK(first->type_name() == method->type_name());
      CHECK(method_of(m, "weight") == first);
      CHECK(method->tensor_name().empty());  // what the caller holds may be used for another tensor
      const MethodPtr second = apply(m, "weight", method);
      CHECK(second->tensor_name() == "weight");
      for (const MethodPtr& part : dynamic_cast<const PruningContainer&>(*second))
        CHECK(part->tensor_name() == "weight");
    }
    nn::Linear m(4, 3);
    CHECK(apply(m, "weight", L1Unstructured(1))->tensor_name() == "weight");
    CHECK(apply(m, "bias", Mine())->tensor_name() == "bias");
  }

  TEST_CASE("a method of one's own that is given by pointer and cannot be copied is used as it is") {
    nn::Linear m(4, 3);
    const auto mine = std::make_shared<Mine>();
    CHECK(apply(m, "weight", MethodPtr(mine)) == mine);
    CHECK(mine->tensor_name().empty());
    CHECK(apply(m, "weight", MethodPtr(mine))->tensor_name() == "weight");  // a container
  }

  TEST_CASE("what the free functions, global pruning, a file or nobody made knows its tensor too") {
    nn::Linear a(4, 3), b(4, 3);
    CHECK(method_of(l1_unstructured(a, "weight", 1), "weight")->tensor_name() == "weight");
    global_unstructured({{&a, "bias"}, {&b, "weight"}}, L1Unstructured(2));
    CHECK(method_of(a, "bias")->tensor_name() == "bias");
    CHECK(method_of(b, "weight")->tensor_name() == "weight");
    nn::set_mask(b, "bias", ones({3}));
    CHECK(method_of(b, "bias")->tensor_name() == "bias");
    random_unstructured(a, "bias", 0);
    const test::TempDir dir;
    nn::save_model(a, dir / "a.safetensors");
    const nn::ModulePtr back = nn::load_model(dir / "a.safetensors");
    CHECK(method_of(*back, "weight")->tensor_name() == "weight");
    const auto both = std::dynamic_pointer_cast<const PruningContainer>(method_of(*back, "bias"));
    REQUIRE(both != nullptr);
    CHECK((*both)[0]->tensor_name() == "bias");
    CHECK((*both)[1]->tensor_name() == "bias");
  }

  TEST_CASE("global pruning: a wrong name is reported as one, before the method, its type, its amount and the scores") {
    nn::Linear m(4, 3), none(4, 3, false), pruned(4, 3);
    nn::Sequential tree{std::make_shared<nn::Linear>(4, 3)};
    nn::BatchNorm1d norm(4);
    identity(pruned, "weight");
    const Target good{&m, "weight"};
    for (const Target& wrong : {Target{&m, "nothing"}, {&m, ""}, {&tree, "0.weight"}, {&pruned, "weight_mask_orig"}}) {
      CAPTURE(wrong.second);
      CHECK_THROWS_AS(global_unstructured({good, wrong}, L1Unstructured(1)), KeyError);
      CHECK_THROWS_AS(global_unstructured({good, wrong}, L1Unstructured(1000)), KeyError);
      CHECK_THROWS_AS(global_unstructured({good, wrong}, LnStructured(1, 2, 0)), KeyError);
      CHECK_THROWS_AS(global_unstructured({good, wrong}, L1Unstructured(1), {{good, ones({3})}}), KeyError);
      CHECK_THROWS_AS(global_unstructured({good, wrong}, L1Unstructured(1), {{wrong, ones({12})}}), KeyError);
      CHECK_THROWS_AS(l1_unstructured(*wrong.first, wrong.second, 1), KeyError);
    }
    for (const Target& wrong :
         {Target{&norm, "running_mean"}, {&pruned, "weight_mask"}, {&none, "bias"}, {&tree, "0"}}) {
      CAPTURE(wrong.second);
      CHECK_THROWS_AS(global_unstructured({good, wrong}, L1Unstructured(1)), TypeError);
      CHECK_THROWS_AS(global_unstructured({good, wrong}, L1Unstructured(1000)), TypeError);
      CHECK_THROWS_AS(l1_unstructured(*wrong.first, wrong.second, 1), TypeError);
    }
    CHECK_THROWS_AS(global_unstructured({good}, LnStructured(1, 2, 0), {{good, ones({3})}}), TypeError);
    CHECK_THROWS_AS(global_unstructured({good}, L1Unstructured(1000), {{good, ones({3})}}), IndexError);
    CHECK_FALSE(is_pruned(m));
  }

  TEST_CASE("names that pruning needs are not overwritten, whatever stands there") {
    for (const char* name : {"weight_orig", "weight_mask"})
      for (const char* kind : {"parameter", "buffer", "plain"}) {
        CAPTURE(name);
        CAPTURE(kind);
        nn::Linear m(2, 2);
        if (kind[0] == 'p' && kind[1] == 'a')
          m.register_parameter(name, full({3}, 5));
        else if (kind[0] == 'b')
          m.register_buffer(name, full({3}, 5));
        else
          m.set_tensor(name, full({3}, 5));
        CHECK_THROWS_AS(l1_unstructured(m, "weight", 1), KeyError);
        CHECK_THROWS_AS(global_unstructured({{&m, "weight"}}, L1Unstructured(1)), KeyError);
        CHECK(m.tensor(name).detach() == full({3}, 5));
        CHECK_FALSE(is_pruned(m));
      }
  }

  TEST_CASE("one call with several faults: names before scores, axes before dim before amount before norm") {
    nn::Linear m(4, 3);
    CHECK_THROWS_AS(l1_unstructured(m, "nothing", 1, ones({3})), KeyError);
    CHECK_THROWS_AS(l1_unstructured(m, "nothing", 1.5), ValueError);  // an amount is refused where it is made
    CHECK_THROWS_AS(ln_structured(m, "bias", 1, 2, 5), ShapeError);
    CHECK_THROWS_AS(ln_structured(m, "weight", 100, 2, 9), IndexError);
    CHECK_THROWS_AS(ln_structured(m, "weight", 100, 2, -9), IndexError);
    CHECK_THROWS_WITH_AS(ln_structured(m, "weight", 100, "nuc", 0), "[Amount] cannot prune 100 of 3 units", ValueError);
  }

  TEST_CASE("a refused call draws no random number") {
    nn::Linear a(2, 2), b(2, 2);
    const auto other = std::make_shared<L1Unstructured>(1);
    other->set_tensor_name("bias");
    nn::set_mask(b, "weight", ones({2, 2}), other);  // a record for another tensor, as a file may bring it
    Generator used(5), fresh(5);
    CHECK_THROWS_AS(
        global_unstructured({{&a, "weight"}, {&b, "weight"}}, RandomUnstructured(2, TieRule::lowest_index, &used)),
        ValueError);
    CHECK_THROWS_AS(random_unstructured(a, "weight", 5, TieRule::lowest_index, &used), ValueError);
    CHECK_THROWS_AS(random_structured(a, "weight", 3, 0, TieRule::lowest_index, &used), ValueError);
    CHECK(rand({4}, Dtype::f32, &used) == rand({4}, Dtype::f32, &fresh));
  }

  TEST_CASE("a method that writes to the default mask and fails leaves the mask of the module as it was") {
    nn::Linear m(2, 2);
    l1_unstructured(m, "weight", 1);
    const Tensor before = m.tensor("weight_mask").clone();
    CHECK_THROWS_AS(apply(m, "weight", Vandal()), std::runtime_error);
    CHECK(m.tensor("weight_mask") == before);
  }
}
