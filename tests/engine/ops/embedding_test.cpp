/// What the table of differentiable operations does not show of embeddings and their bags.
#include <doctest/doctest.h>

#include <chrono>
#include <cmath>

#include "coppice/engine.h"

using namespace coppice;

namespace {

Tensor integers(std::initializer_list<double> values) { return Tensor::of(values).to(Dtype::i64); }

/// The bags one by one, from the operations that define them.
Tensor by_definition(const Tensor& weight, const Tensor& index, const std::vector<std::int64_t>& starts, BagMode mode) {
  TensorList bags;
  for (std::size_t b = 0; b < starts.size(); ++b) {
    const std::int64_t end = b + 1 < starts.size() ? starts[b + 1] : index.size(0);
    if (end == starts[b]) {
      bags.push_back(zeros({weight.size(1)}, weight.dtype()));
      continue;
    }
    const Tensor rows = index_select(weight, 0, narrow(index, 0, starts[b], end - starts[b]));
    bags.push_back(mode == BagMode::sum ? sum(rows, {0}) : mode == BagMode::mean ? mean(rows, {0}) : max(rows, {0}));
  }
  return stack(bags);
}

}  // namespace

TEST_SUITE("engine/embedding") {
  TEST_CASE("bags have the bits of the sums, means and maxima of their rows, in every type and for any threads") {
    Generator generator(3);
    const int before = num_threads();
    for (const Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::f16, Dtype::bf16})
      for (const auto mode : {BagMode::sum, BagMode::mean, BagMode::max}) {
        CAPTURE(to_string(dtype));
        const Tensor weight = randn({50, 33}, dtype, &generator);
        const Tensor index = randint(0, 50, {400}, Dtype::i64, &generator);
        const std::vector<std::int64_t> starts{0, 0, 7, 7, 100, 101, 399, 400};
        const Tensor offsets = Tensor::from(starts, {8});
        for (const int threads : {1, 2, 7}) {
          set_num_threads(threads);
          CHECK(embedding_bag(weight, index, offsets, mode) == by_definition(weight, index, starts, mode));
        }
      }
    set_num_threads(before);
  }

  TEST_CASE("NaN wins a maximum, and ties share the gradient") {
    Tensor weight = Tensor::of({{1, NAN}, {1, 2}, {0, 3}}).requires_grad_();
    const Tensor y = embedding_bag(weight, integers({0, 1, 2}), integers({0}), BagMode::max);
    CHECK(y.at({0, 0}) == 1);
    CHECK(std::isnan(y.at({0, 1})));
    sum(narrow(y, 1, 0, 1)).backward();
    CHECK(narrow(weight.grad(), 1, 0, 1) == Tensor::of({0.5, 0.5, 0}).reshape({3, 1}));
  }

  TEST_CASE("entries of padding_idx leave their bag, and a bag of nothing else is 0") {
    Tensor weight = Tensor::of({{1, 2}, {3, 4}, {5, 6}}).requires_grad_();
    for (const auto mode : {BagMode::sum, BagMode::mean, BagMode::max}) {
      const Tensor y = embedding_bag(weight, integers({1, 0, 1, 2}), integers({0, 1, 4}), mode, 1);
      CHECK(narrow(y, 0, 0, 1) == zeros({1, 2}));
      CHECK(narrow(y, 0, 2, 1) == zeros({1, 2}));
      weight.set_grad(Tensor());
      sum(y).backward();
      CHECK(select(weight.grad(), 0, 1) == zeros({2}));
    }
  }

  TEST_CASE("what bags cannot be is refused by name") {
    const Tensor weight = ones({3, 2}), index = integers({0, 1}), offsets = integers({0});
    CHECK_THROWS_WITH((void)embedding_bag(weight, integers({0, 3}), offsets),
                      "[embedding_bag] index 3 at position 1 is outside the 3 rows of weight (3, 2)");
    CHECK_THROWS_AS((void)embedding_bag(weight, integers({-1}), offsets), IndexError);
    CHECK_THROWS_AS((void)embedding_bag(weight, integers({3}), offsets, BagMode::sum, 3), IndexError);
    CHECK_THROWS_AS((void)embedding_bag(weight, index.to(Dtype::f32), offsets), DtypeError);
    CHECK_THROWS_AS((void)embedding_bag(weight, index, Tensor::of({0})), DtypeError);
    CHECK_THROWS_AS((void)embedding_bag(weight.to(Dtype::i64), index, offsets, BagMode::mean), DtypeError);
    CHECK_THROWS_AS((void)embedding_bag(weight, index, integers({1})), ValueError);
    CHECK_THROWS_AS((void)embedding_bag(weight, index, integers({0, 3})), ValueError);
    CHECK_THROWS_AS((void)embedding_bag(weight, index, integers({0, 2, 1})), ValueError);
    CHECK_THROWS_AS((void)embedding_bag(weight, index, integers({})), ValueError);
    CHECK_THROWS_AS((void)embedding_bag(ones({3}), index, offsets), ShapeError);
    CHECK(embedding_bag(weight, integers({}), integers({})) == zeros({0, 2}));
    CHECK(embedding_bag(weight, integers({}), integers({0, 0})) == zeros({2, 2}));
  }

  TEST_CASE("a backward pass costs what the entries cost, not bags times the table") {
    constexpr std::int64_t kRows = 50'000, kEntries = 2'000;
    const Tensor index = arange(0, kEntries, 1, Dtype::i64);  // one entry in each bag
    const auto least_time = [&](auto run) {
      double least = 1e9;
      for (int repeat = 0; repeat < 3; ++repeat) {
        Tensor weight = ones({kRows, 2}).requires_grad_();
        const Tensor total = sum(run(weight));
        const auto start = std::chrono::steady_clock::now();
        total.backward();
        least = std::min(least, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
        CHECK(sum(weight.grad()).item() == 2 * kEntries);
      }
      return least;
    };
    const double rows = least_time([&](const Tensor& w) { return index_select(w, 0, index); });
    const double bags = least_time([&](const Tensor& w) { return embedding_bag(w, index, index); });
    CHECK(bags < 50 * rows);  // a table for each bag: more than 1000 times
  }
}
