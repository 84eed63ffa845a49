// Traps of torch.nn.utils.prune that concern amounts, ranking and masks: reproduced, or better on purpose where
// docs/differences.md says so. What is better about failed calls is in errors_test, about stale weights in
// nn/masks/masked_test.
#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/prune/prune.h"

using namespace coppice;
using namespace coppice::sparsity;
using namespace coppice::sparsity::prune;

namespace {

const double kNan = std::nan("");

class Holder final : public nn::Implements<Holder> {
 public:
  static constexpr std::string_view kType = "Holder";
  explicit Holder(Tensor weight) { register_parameter("weight", std::move(weight)); }

 private:
  Tensor forward(const Tensor& x) const override { return x; }
};

std::vector<std::int64_t> zeros_of(const Tensor& mask) {
  std::vector<std::int64_t> out;
  const auto values = mask.to_vector<double>();
  for (std::size_t i = 0; i < values.size(); ++i)
    if (values[i] == 0) out.push_back(static_cast<std::int64_t>(i));
  return out;
}
using Places = std::vector<std::int64_t>;

}  // namespace

TEST_SUITE("sparsity/prune/traps") {
  TEST_CASE("trap: NaN as an amount is refused at once; true is one unit; small fractions prune nothing") {
    CHECK_THROWS_AS(Amount{kNan}, ValueError);
    CHECK_THROWS_AS(Amount{HUGE_VAL}, ValueError);
    CHECK(Amount(-0.0).of(8) == 0);
    CHECK(Amount(true).is_count());
    CHECK(Amount(true).of(8) == 1);
    for (const double fraction : {1e-9, 0.05, 0.0625}) CHECK(L1Unstructured(fraction).prune(ones({8})) == ones({8}));
    CHECK(count_nonzero(L1Unstructured(0.07).prune(ones({8}))) == 7);
  }

  TEST_CASE("trap: an amount of 0 masks with ones and renames all the same; everything may go; more may not") {
    for (int method = 0; method < 6; ++method)
      for (const Amount amount : {Amount(0), Amount(0.0)}) {
        CAPTURE(method);
        nn::Linear m(4, 2);
        if (method == 0) l1_unstructured(m, "weight", amount);
        if (method == 1) random_unstructured(m, "weight", amount);
        if (method == 2) ln_structured(m, "weight", amount, 2, 0);
        if (method == 3) random_structured(m, "weight", amount, 1);
        if (method == 4) global_unstructured({{&m, "weight"}}, L1Unstructured(amount));
        if (method == 5) identity(m, "weight");
        CHECK(m.tensor("weight_mask") == ones({2, 4}));
        CHECK(m.own_parameters().contains("weight_orig"));
        CHECK(is_pruned(m));
      }
    nn::Linear all(4, 2);
    CHECK(l1_unstructured(all, "weight", 8).tensor("weight_mask") == zeros({2, 4}));
    nn::Linear more(4, 2);
    CHECK_THROWS_AS(l1_unstructured(more, "weight", 9), ValueError);
    CHECK_FALSE(is_pruned(more));
  }

  TEST_CASE("trap: exactly k of equal values go, and with PyTorch's rule not the first ones") {
    const Tensor t = ones({2, 4});
    CHECK(zeros_of(L1Unstructured(3).prune(t)) == Places{0, 1, 2});
    CHECK(zeros_of(L1Unstructured(3, TieRule::pytorch).prune(t)) == Places{4, 5, 6});
    CHECK(zeros_of(LnStructured(1, 2, 0, TieRule::pytorch).prune(ones({4, 1}))) == Places{1});
    CHECK(zeros_of(LnStructured(2, 2, 0, TieRule::pytorch).prune(ones({4, 1}))) == Places{0, 1});
    CHECK(zeros_of(LnStructured(1, 2, 0).prune(ones({4, 1}))) == Places{0});
  }

  TEST_CASE("trap: NaN ranks as the largest; masked NaN and infinity stay NaN, masked negatives become -0") {
    const Tensor t = Tensor::of({1, kNan, -HUGE_VAL, -2});
    CHECK(L1Unstructured(3).compute_mask(t, ones({4})) == Tensor::of({0, 1, 0, 0}));
    CHECK(LnStructured(1, 2, 0).compute_mask(Tensor::of({{kNan, 0}, {9, 9}}), ones({2, 2})) ==
          Tensor::of({{1, 1}, {0, 0}}));
    Holder m(t);
    custom_from_mask(m, "weight", zeros({4}));
    const auto masked = m.tensor("weight").to_vector<float>();
    CHECK(masked[0] == 0);
    CHECK(std::isnan(masked[1]));
    CHECK(std::isnan(masked[2]));
    CHECK((masked[3] == 0 && std::signbit(masked[3])));
    remove(m, "weight");
    CHECK(std::signbit(m.tensor("weight").at({3})));
    custom_from_mask(m, "weight", Tensor::of({kNan, 1, 1, 1}));
    CHECK(std::isnan(m.tensor("weight").at({0})));
  }

  TEST_CASE("trap: every method takes every type, also scores of whole numbers, truth values and half types") {
    const Tensor weight = arange(1, 13).reshape({3, 4});
    for (const Dtype type : {Dtype::i64, Dtype::i8, Dtype::f16, Dtype::bf16, Dtype::boolean}) {
      CAPTURE(name_of(type));
      const Tensor scores = (type == Dtype::boolean ? gt(weight, Tensor::of(6)) : weight).to(type);
      Holder a(weight.clone()), b(weight.clone()), c(weight.clone());
      l1_unstructured(a, "weight", 6, scores);
      CHECK(a.tensor("weight_mask") == Tensor::of({{0, 0, 0, 0}, {0, 0, 1, 1}, {1, 1, 1, 1}}));
      CHECK(count_nonzero(l1_unstructured(a, "weight", 2, scores).tensor("weight_mask")) == 4);
      CHECK(a.tensor("weight").dtype() == Dtype::f32);
      ln_structured(b, "weight", 1, 2, 0, scores);
      CHECK(b.tensor("weight").detach() == Tensor::of({{0, 0, 0, 0}, {5, 6, 7, 8}, {9, 10, 11, 12}}));
      global_unstructured({{&c, "weight"}}, L1Unstructured(6), {{{&c, "weight"}, scores}});
      CHECK(count_nonzero(c.tensor("weight_mask")) == 6);
      Holder whole(scores.clone());  // and parameters of that type, without gradients
      CHECK(count_nonzero(random_unstructured(whole, "weight", 5).tensor("weight_mask")) == 7);
    }
  }

  TEST_CASE("trap: dim counts from the end down to -ndim; beyond is an IndexError, the first time and later") {
    for (const bool again : {false, true}) {
      for (const std::int64_t dim : {-2, -1, 0, 1}) {
        nn::Linear m(3, 2);
        if (again) identity(m, "weight");
        ln_structured(m, "weight", 1, 2, dim);
        CHECK(count_nonzero(m.tensor("weight_mask")) == (dim % 2 == 0 ? 3 : 4));
      }
      for (const std::int64_t dim : {-3, 2, 100}) {
        nn::Linear m(3, 2);
        if (again) identity(m, "weight");
        CHECK_THROWS_AS(ln_structured(m, "weight", 1, 2, dim), IndexError);
        CHECK_THROWS_AS(random_structured(m, "weight", 1, dim), IndexError);
        CHECK(is_pruned(m) == again);
        CHECK(sum(m(ones({1, 3}))).requires_grad());
      }
    }
    nn::Linear m(3, 2);
    for (int round = 0; round < 2; ++round) {  // one axis is too few, also where PyTorch lets it pass the second time
      CHECK_THROWS_AS(random_structured(m, "bias", 1, 0), ShapeError);
      CHECK_THROWS_AS(ln_structured(m, "bias", 0.5, 2, -1), ShapeError);
      identity(m, "bias");
    }
  }

  TEST_CASE("trap: orders of 0 and below rank any slice with a zero lowest; words need the right number of axes") {
    const Tensor t = Tensor::of({{0, 9, 9}, {1, 1, 1}});
    for (const double n : {-1.0, -2.0, -HUGE_VAL, 0.0})
      CHECK(LnStructured(1, n, 0).compute_mask(t, ones({2, 3})) == Tensor::of({{0, 0, 0}, {1, 1, 1}}));
    CHECK(LnStructured(1, 2, 0).compute_mask(t, ones({2, 3})) == Tensor::of({{1, 1, 1}, {0, 0, 0}}));
    const auto fro = NormOrder::Word::fro, nuc = NormOrder::Word::nuc;
    for (const std::int64_t amount : {0, 1}) {  // an order that does not suit is refused even where nothing goes
      CHECK_NOTHROW((void)LnStructured(amount, fro, 0).prune(ones({2, 3})));
      CHECK_NOTHROW((void)LnStructured(amount, fro, 0).prune(ones({2, 3, 2})));
      CHECK_THROWS_AS((void)LnStructured(amount, fro, 0).prune(ones({2, 3, 2, 2})), ValueError);
      CHECK_NOTHROW((void)LnStructured(amount, nuc, 0).prune(ones({2, 3, 2})));
      CHECK_THROWS_AS((void)LnStructured(amount, nuc, 0).prune(ones({2, 3})), ValueError);
    }
  }

  TEST_CASE("trap: a custom mask may hold any numbers of any type; then only entries of exactly 1 are left to prune") {
    Holder m(Tensor::of({{1, 2, 3, 4}, {5, 6, 7, 8}}));
    custom_from_mask(m, "weight", Tensor::of({{1, -1, 0, 0}, {0.5, 2, 1, 1}}));
    CHECK(m.tensor("weight").detach() == Tensor::of({{1, -2, 0, 0}, {2.5, 12, 7, 8}}));
    CHECK_THROWS_AS(l1_unstructured(m, "weight", 4), ValueError);  // three entries are 1
    l1_unstructured(m, "weight", 2);
    CHECK(m.tensor("weight_mask") == Tensor::of({{0, -1, 0, 0}, {0.5, 2, 0, 1}}));
    Holder truth(ones({2}));
    custom_from_mask(truth, "weight", Tensor::of({1, 0}).to(Dtype::boolean));
    CHECK(truth.tensor("weight_mask") == Tensor::of({1, 0}));
  }

  TEST_CASE("trap: empty tensors and tensors without axes") {
    for (const Shape& shape : {Shape{0}, Shape{0, 3}, Shape{3, 0}}) {
      CAPTURE(shape.rank());
      Holder m(zeros(shape));
      CHECK_THROWS_AS(l1_unstructured(m, "weight", 1), ValueError);
      CHECK(l1_unstructured(m, "weight", 0.5).tensor("weight_mask").shape() == shape);
      random_unstructured(m, "weight", 0.9);
      CHECK(m.tensor("weight").shape() == shape);
    }
    Holder columns(zeros({0, 3}));
    ln_structured(columns, "weight", 1, 2, 1);
    CHECK_THROWS_AS(ln_structured(columns, "weight", 1, 2, 0), ValueError);
    Holder one(Tensor::of(5)), half(Tensor::of(5));
    CHECK(l1_unstructured(one, "weight", 1).tensor("weight_mask") == Tensor::of(0));
    CHECK(l1_unstructured(half, "weight", 0.5).tensor("weight_mask") == Tensor::of(1));  // half to even
    CHECK_THROWS_AS(ln_structured(half, "weight", 1, 2, 0), ShapeError);
  }

  TEST_CASE("trap: global pruning again counts what is left of all; a parameter named twice shares its amount") {
    Holder a(Tensor::of({1, 2, 3, 4, 5, 6, 7, 8})), b(Tensor::of({0.5, 9, 10}));
    const std::vector<Target> both{{&a, "weight"}, {&b, "weight"}};
    global_unstructured(both, L1Unstructured(0.5));  // 5.5 of 11 is 6
    CHECK(count_nonzero(a.tensor("weight_mask")) + count_nonzero(b.tensor("weight_mask")) == 5);
    global_unstructured(both, L1Unstructured(0.5));  // 2.5 of 5 is 2
    CHECK(count_nonzero(a.tensor("weight_mask")) + count_nonzero(b.tensor("weight_mask")) == 3);
    CHECK(method_of(a, "weight")->steps()[1].type == "CustomFromMask");
    Holder twice(Tensor::of({1, 2, 3, 4}));
    global_unstructured({{&twice, "weight"}, {&twice, "weight"}}, L1Unstructured(4));
    CHECK(twice.tensor("weight_mask") == Tensor::of({0, 0, 1, 1}));
    CHECK(method_of(twice, "weight")->steps().size() == 2);
  }

  TEST_CASE("trap: weights turned on their side are pruned like others, ties in the order of their entries") {
    const Tensor w = Tensor::of({{1, 5}, {2, 6}, {3, 7}});
    Holder m(transpose(w, 0, 1));
    l1_unstructured(m, "weight", 2);
    CHECK(m.tensor("weight_mask") == Tensor::of({{0, 0, 1}, {1, 1, 1}}));
    global_unstructured({{&m, "weight"}}, L1Unstructured(1));
    random_unstructured(m, "weight", 1);
    CHECK(count_nonzero(m.tensor("weight_mask")) == 2);
  }
}
