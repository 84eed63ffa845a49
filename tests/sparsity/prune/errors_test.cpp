// What pruning refuses, that nothing has changed then, and the corners of its behaviour.
#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/prune/prune.h"

using namespace coppice;
using namespace coppice::sparsity;
using namespace coppice::sparsity::prune;

namespace {

class Wrong final : public Method {
 public:
  explicit Wrong(Tensor mask) : mask_(std::move(mask)) {}
  Tensor compute_mask(const Tensor&, const Tensor&) const override { return mask_; }

 private:
  Tensor mask_;
};

/// A structured method that forgot its dim.
class Dimless final : public Method {
 public:
  PruningType pruning_type() const override { return PruningType::structured; }
  Tensor compute_mask(const Tensor&, const Tensor& mask) const override { return mask; }
};

/// Everything that a failed pruning could have changed.
std::vector<std::string> picture(const nn::Module& m) {
  std::vector<std::string> out;
  for (const auto& [name, t] : m.own_parameters()) out.push_back(name + (t.defined() ? to_string(t) : "none"));
  for (const auto& [name, t] : m.own_buffers()) out.push_back(name + to_string(t));
  for (const auto& [name, d] : m.derived()) {
    out.push_back(name);
    for (const nn::MaskStep& s : method_of(m, name)->steps()) out.push_back(s.type);
  }
  return out;
}

/// Checks that `call` throws E and leaves the module as it was.
#define REFUSED(m, call, E)           \
  do {                                \
    const auto before = picture(m);   \
    CHECK_THROWS_AS((void)(call), E); \
    CHECK(picture(m) == before);      \
  } while (false)

}  // namespace

TEST_SUITE("sparsity/prune/errors") {
  TEST_CASE("every refusal leaves the module as it was, on the first pruning and on a later one") {
    nn::Linear m(4, 3);
    for (int round = 0; round < 2; ++round) {
      CAPTURE(round);
      REFUSED(m, l1_unstructured(m, "weight", 13), ValueError);
      REFUSED(m, random_unstructured(m, "weight", 13), ValueError);
      REFUSED(m, l1_unstructured(m, "weight", 1.5), ValueError);
      REFUSED(m, l1_unstructured(m, "weight", std::nan("")), ValueError);
      REFUSED(m, ln_structured(m, "bias", 1, 2, 0), ValueError);
      REFUSED(m, ln_structured(m, "weight", 1, 2, 2), IndexError);
      REFUSED(m, ln_structured(m, "weight", 1, 2, -3), IndexError);
      REFUSED(m, random_structured(m, "weight", 5, 0), ValueError);
      REFUSED(m, ln_structured(m, "weight", 0, NormOrder::Word::nuc, 0), ValueError);
      REFUSED(m, l1_unstructured(m, "nothing", 1), KeyError);
      REFUSED(m, l1_unstructured(m, "weight", 1, ones({4, 3})), ShapeError);
      REFUSED(m, custom_from_mask(m, "weight", ones({4})), ShapeError);
      REFUSED(m, custom_from_mask(m, "weight", Tensor()), TypeError);
      REFUSED(m, apply(m, "weight", Wrong(ones({2}))), ShapeError);
      REFUSED(m, apply(m, "weight", Wrong(Tensor())), TypeError);
      REFUSED(m, apply(m, "weight", MethodPtr()), TypeError);
      if (round == 1) REFUSED(m, apply(m, "weight", Dimless()), KeyError);
      l1_unstructured(m, "weight", 2);
    }
    REFUSED(m, l1_unstructured(m, "weight_mask", 1), TypeError);
  }

  TEST_CASE("an empty slot, a taken name, removal where nothing is pruned") {
    nn::Linear m(4, 3, false);
    REFUSED(m, l1_unstructured(m, "bias", 1), TypeError);
    m.register_buffer("weight_mask", ones({1}));
    REFUSED(m, l1_unstructured(m, "weight", 1), KeyError);
    const auto inner = std::make_shared<nn::Linear>(2, 2);
    nn::Sequential outer({inner});
    identity(*inner, "weight");
    CHECK(is_pruned(outer));
    REFUSED(outer, remove(outer, "0.weight"), ValueError);
  }

  TEST_CASE("global pruning changes all parameters or none") {
    nn::Linear a(4, 3), b(2, 2, false);
    const auto both = std::vector<Target>{{&a, "weight"}, {&b, "bias"}};
    REFUSED(a, global_unstructured(both, L1Unstructured(1)), TypeError);
    const std::vector<Target> good{{&a, "weight"}, {&b, "weight"}};
    REFUSED(a, global_unstructured(good, L1Unstructured(17)), ValueError);
    REFUSED(a, global_unstructured(good, LnStructured(1, 2, 0)), TypeError);
    REFUSED(a, global_unstructured(good, CustomFromMask(ones({16}))), TypeError);
    REFUSED(a, global_unstructured(good, L1Unstructured(1), {{{&b, "weight"}, ones({3})}}), IndexError);
    CHECK_THROWS_AS(global_unstructured({}, L1Unstructured(1)), ValueError);
    global_unstructured(good, L1Unstructured(0.5));
    global_unstructured(good, L1Unstructured(0.5));  // half of what is left: 8, then 4
    CHECK(count_nonzero(a.tensor("weight_mask")) + count_nonzero(b.tensor("weight_mask")) == 4);
    CHECK(method_of(a, "weight")->steps().size() == 2);
  }
}

TEST_SUITE("sparsity/prune/corners") {
  TEST_CASE("half types and integers can be pruned by every method") {
    for (const Dtype type : {Dtype::f16, Dtype::bf16, Dtype::f64, Dtype::i64}) {
      const Tensor t = arange(1, 13).reshape({3, 4}).to(type);
      CHECK(count_nonzero(L1Unstructured(5).prune(t)) == 7);
      CHECK(count_nonzero(RandomUnstructured(5).prune(t)) == 7);
      CHECK(count_nonzero(LnStructured(1, 2, 0).prune(t)) == 8);
      CHECK(count_nonzero(RandomStructured(1, 1).prune(t)) == 9);
    }
  }

  TEST_CASE("a fully pruned tensor takes fractions and refuses counts") {
    nn::Linear m(4, 2);
    l1_unstructured(l1_unstructured(m, "weight", 1.0), "weight", 0.5);
    CHECK(count_nonzero(m.tensor("weight_mask")) == 0);
    REFUSED(m, l1_unstructured(m, "weight", 1), ValueError);
  }

  TEST_CASE("masks of other numbers than 0 and 1: unpruned means exactly 1, and a row that sums to 0 is not ranked") {
    nn::Linear m(4, 2, false);
    custom_from_mask(m, "weight", full({2, 4}, 0.5));
    REFUSED(m, l1_unstructured(m, "weight", 1), ValueError);
    const Tensor mask = Tensor::of({{1, -1, 0, 0}, {1, 1, 1, 1}});
    const Tensor after = combine(LnStructured(1, 2, 0), ones({2, 4}), mask);
    CHECK(after == Tensor::of({{1, -1, 0, 0}, {0, 0, 0, 0}}));
  }

  TEST_CASE(
      "a method that is meant for another tensor is refused at once, and by global pruning before anything changes") {
    nn::Linear a(2, 2), b(2, 2);
    auto method = std::make_shared<L1Unstructured>(1);
    method->set_tensor_name("bias");
    CHECK_THROWS_AS(prune::apply(a, "weight", prune::MethodPtr(method)), ValueError);
    CHECK_FALSE(prune::is_pruned(a));
    // A mask whose record is for another tensor, as a file may bring it.
    nn::set_mask(b, "weight", ones({2, 2}), method);
    CHECK_THROWS_AS(prune::global_unstructured({{&a, "weight"}, {&b, "weight"}}, L1Unstructured(2)), ValueError);
    CHECK_FALSE(prune::is_pruned(a));
    CHECK(b.tensor("weight_mask") == ones({2, 2}));
  }
}
