#include "coppice/sparsity/activation/functions.h"

#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine.h"

using namespace coppice;
using namespace coppice::sparsity;

namespace {

Tensor folded(const AggregateFunction& f, std::initializer_list<Tensor> inputs) {
  TensorList state = f->begin(*inputs.begin());
  for (const Tensor& x : inputs) state = f->add(state, x);
  return f->value(state);
}

const Tensor kX = Tensor::of({{1, -2}, {-3, 4}}), kY = Tensor::of({{-5, -6}, {7, 0}});

/// What its settings say, of which only "kept" is read.
Tensor careless(const Tensor& x, const Arguments& config) { return full(x.shape(), config.number("kept", 1)); }

}  // namespace

TEST_SUITE("sparsity/activation/functions") {
  TEST_CASE("aggregates") {
    CHECK(folded("coppice.sum", {kX, kY}) == Tensor::of({{-4, -8}, {4, 4}}));
    CHECK(folded("coppice.abs_sum", {kX, kY}) == Tensor::of({{6, 8}, {10, 4}}));
    CHECK(folded("coppice.max", {kX, kY}) == Tensor::of({{1, -2}, {7, 4}}));  // not clipped at zero
    CHECK(folded("coppice.mean", {kX, kY}) == Tensor::of({{-2, -4}, {2, 2}}));
    CHECK(folded("coppice.mean", {kX}) == kX);
    CHECK(folded("coppice.abs_mean", {kX, kY}) == Tensor::of({{3, 4}, {5, 2}}));
  }

  TEST_CASE("a plain function begins with zeros, as in PyTorch") {
    const std::function<AggregateSignature> largest = [](const Tensor& a, const Tensor& x) { return maximum(a, x); };
    CHECK(folded(largest, {kX, kY}) == Tensor::of({{1, 0}, {7, 4}}));
    const std::function<AggregateSignature> product = [](const Tensor& a, const Tensor& x) { return a * x; };
    CHECK(folded(product, {kX, kY}) == zeros({2, 2}));
  }

  TEST_CASE("what was seen does not change with the input") {
    const std::function<AggregateSignature> last = [](const Tensor&, const Tensor& x) { return x; };
    for (const AggregateFunction& f : {AggregateFunction(last), AggregateFunction("coppice.max")}) {
      Tensor x = kX.clone();
      const TensorList state = f->add(f->begin(x), x);
      x.fill_(9);
      CHECK(f->value(state) == kX);
    }
  }

  TEST_CASE("reductions over the batch") {
    CHECK(ReduceFunction("coppice.identity")(kX) == kX);
    CHECK(ReduceFunction("coppice.mean_dim0")(kX) == Tensor::of({-1, 1}));
    CHECK(ReduceFunction("coppice.sum_dim0")(kX) == Tensor::of({-2, 2}));
    CHECK(ReduceFunction("coppice.abs_mean_dim0")(kX) == Tensor::of({2, 3}));
  }

  TEST_CASE("magnitude: the lowest share, rounded half to even, the lower index of equal ones") {
    const MaskFunction f("coppice.magnitude");
    const Tensor x = Tensor::of({0.5, -3.5, 2, 4.5});
    CHECK(f(x, {}) == Tensor::of({0, 1, 0, 1}));
    CHECK(f(x, {{"sparsity_level", 0.125}}) == ones({4}));                 // half of one: none
    CHECK(f(x, {{"sparsity_level", 0.375}}) == Tensor::of({0, 1, 0, 1}));  // one and a half: two
    CHECK(f(x, {{"sparsity_level", 2.0}}) == zeros({4}));
    CHECK(f(x, {{"sparsity_level", -1.0}}) == ones({4}));
    CHECK(f(ones({2, 2}), {}) == Tensor::of({{0, 0}, {1, 1}}));
    CHECK(f(Tensor::of({NAN, 1}), {}) == Tensor::of({1, 0}));
    CHECK_THROWS_AS((void)f(x, {{"sparsity_level", std::nan("")}}), ValueError);
    CHECK_THROWS_AS((void)f(x, {{"sparsity_level", std::string("much")}}), TypeError);
  }

  TEST_CASE("threshold, top_k, ones") {
    const MaskFunction threshold("coppice.threshold"), top("coppice.top_k"), all("coppice.ones");
    const Tensor x = Tensor::of({0.1, -3, NAN, 2});
    CHECK(threshold(x, {{"threshold", 2.0}}) == Tensor::of({0, 1, 1, 1}));
    CHECK(threshold(x, {{"threshold", 0.1}}) == ones({4}));  // in float32, as the input
    CHECK(top(x, {{"k", std::int64_t{2}}}) == Tensor::of({0, 1, 1, 0}));
    CHECK(top(x, {{"k", std::int64_t{9}}}) == ones({4}));
    CHECK(top(x, {{"k", std::int64_t{0}}}) == zeros({4}));
    CHECK(all(x, {}) == ones({4}));
    CHECK_THROWS_AS((void)top(x, {{"k", std::int64_t{-1}}}), ValueError);
    CHECK_THROWS_AS((void)threshold(x, {{"threshold", std::nan("")}}), ValueError);
  }

  TEST_CASE("settings that a function has declared are checked before it is called; others find out then") {
    const MaskFunction magnitude("coppice.magnitude"), top("coppice.top_k");
    magnitude.check({});
    magnitude.check({{"sparsity_level", 0.1}});
    CHECK_THROWS_AS(magnitude.check({{"level", 0.1}}), TypeError);
    CHECK_THROWS_AS(top.check({}), KeyError);
    top.check({{"k", std::int64_t{3}}});
    const MaskFunction own{std::function<MaskSignature>(careless)};
    own.check({{"other", 1.0}});
    CHECK(own(kX, {{"kept", 0.0}}) == zeros({2, 2}));
    CHECK_THROWS_AS((void)own(kX, {{"other", 1.0}}), TypeError);
    const MaskFunction nothing{std::function<MaskSignature>([](const Tensor&, const Arguments&) { return Tensor(); })};
    CHECK_THROWS_AS((void)nothing(kX, {}), TypeError);
  }

  TEST_CASE("a program's own functions by name") {
    if (!is_function("test.activation.careless")) {
      register_mask_function("test.activation.careless", careless, {{"kept", 1.0}});
      register_function<AggregateSignature>("test.activation.difference",
                                            [](const Tensor& a, const Tensor& x) { return a - x; });
    }
    const MaskFunction f("test.activation.careless");
    CHECK(f.name() == "test.activation.careless");
    CHECK_THROWS_AS(f.check({{"other", 1.0}}), TypeError);
    CHECK(folded("test.activation.difference", {kX, kY}) == Tensor::of({{4, 8}, {-4, -4}}));
    CHECK_THROWS_AS(register_mask_function("test.activation.careless", careless, {}), KeyError);
    CHECK_THROWS_AS(register_mask_function("careless", careless, {}), ValueError);
  }

  TEST_CASE("functions are equal by name, or else as copies of one another") {
    CHECK(ReduceFunction("coppice.mean_dim0") == ReduceFunction("coppice.mean_dim0"));
    CHECK_FALSE(ReduceFunction("coppice.mean_dim0") == ReduceFunction("coppice.sum_dim0"));
    const auto same = [](const Tensor& x) { return x; };
    const ReduceFunction a{std::function<ReduceSignature>(same)}, b{std::function<ReduceSignature>(same)};
    const ReduceFunction copy = a;
    CHECK(a == copy);
    CHECK_FALSE(a == b);
    CHECK(a.name().empty());
  }

  TEST_CASE("unknown names, other roles and empty functions are refused") {
    CHECK_THROWS_AS((void)AggregateFunction("coppice.median"), KeyError);
    CHECK_THROWS_AS((void)ReduceFunction("coppice.sum"), TypeError);
    CHECK_THROWS_AS((void)AggregateFunction("coppice.mean_dim0"), TypeError);
    CHECK_THROWS_AS((void)MaskFunction("coppice.max"), TypeError);
    CHECK_THROWS_AS((void)ReduceFunction(std::function<ReduceSignature>()), ValueError);
    CHECK_THROWS_AS((void)MaskFunction(std::function<MaskSignature>()), ValueError);
    CHECK_THROWS_AS((void)AggregateFunction(std::function<AggregateSignature>()), ValueError);
    CHECK_THROWS_AS((void)AggregateFunction(std::shared_ptr<const Aggregator>()), ValueError);
  }
}
