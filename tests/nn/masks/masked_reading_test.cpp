// What a masked parameter shows when it is read, and its gradients.
#include <doctest/doctest.h>

#include <cmath>
#include <thread>

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/engine/ops/shape_ops.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/nn/masks/masked.h"
#include "coppice/nn/state_dict.h"
#include "small_linear.h"

using namespace coppice;
using namespace coppice::nn;
using test::kMask, test::small;

TEST_SUITE("nn/masked") {
  TEST_CASE("what is read is mask * original, never stale") {
    Linear m = small();
    attach_mask(m, "weight", kMask);
    CHECK(m.tensor("weight").detach() == Tensor::of({{1, 0}, {0, 4}}));
    NoGrad off;
    SUBCASE("after the original was written") {
      m.tensor("weight_orig").fill_(7);
      CHECK(m.tensor("weight") == Tensor::of({{7, 0}, {0, 7}}));
    }
    SUBCASE("after the mask was written") {
      m.tensor("weight_mask").fill_(1);
      CHECK(m.tensor("weight") == Tensor::of({{1, -2}, {3, 4}}));
    }
    SUBCASE("after the mask was exchanged") {
      m.register_buffer("weight_mask", Tensor::of({{0, 1}, {0, 0}}));
      CHECK(m.tensor("weight") == Tensor::of({{0, -2}, {0, 0}}));
    }
    SUBCASE("after a state dict was loaded") {
      NamedTensors given{
          {"bias", zeros({2})}, {"weight_orig", full({2, 2}, 9)}, {"weight_mask", Tensor::of({{0, 1}, {1, 0}})}};
      load_state_dict(m, given);
      CHECK(m.tensor("weight") == Tensor::of({{0, 9}, {9, 0}}));
    }
    SUBCASE("after the original shows another storage") {
      Tensor orig = m.tensor("weight_orig");
      orig.replace_(full({2, 2}, 5));
      CHECK(m.tensor("weight") == Tensor::of({{5, 0}, {0, 5}}));
    }
    SUBCASE("after the type changed") {
      m.to(Dtype::f64);
      CHECK(m.tensor("weight") == Tensor::of({{1, 0}, {0, 4}}).to(Dtype::f64));
    }
    SUBCASE("after somebody wrote into what was read") {
      m.tensor("weight").fill_(3);
      CHECK(m.tensor("weight") == Tensor::of({{1, 0}, {0, 4}}));
    }
  }

  TEST_CASE("the product is computed once for as long as nothing changes") {
    Linear m = small();
    attach_mask(m, "weight", kMask);
    NoGrad off;
    const Tensor first = m.tensor("weight");
    CHECK(m.tensor("weight").shares_storage(first));
    m.tensor("weight_orig").mul_(2);
    CHECK_FALSE(m.tensor("weight").shares_storage(first));
    CHECK(first == Tensor::of({{1, 0}, {0, 4}}));  // a reader keeps what it read
  }

  TEST_CASE("gradients reach the original through the mask, in every pass anew") {
    Linear m = small();
    attach_mask(m, "weight", Tensor::of({{1, 0}, {0, 0.5}}));
    const Tensor x = Tensor::of({{10, 20}});
    for (int pass = 1; pass <= 2; ++pass) {
      sum(m(x)).backward();
      CHECK(m.tensor("weight_orig").grad() == Tensor::of({{10.0 * pass, 0}, {0, 10.0 * pass}}));
    }
    m.zero_grad();
    sum(m(x) + m(x)).backward();  // two forward passes, one backward pass
    CHECK(m.tensor("weight_orig").grad() == Tensor::of({{20, 0}, {0, 20}}));
  }

  TEST_CASE("no gradient is kept where none is wanted") {
    Linear m = small();
    attach_mask(m, "weight", kMask);
    {
      const NoGrad off;
      CHECK_FALSE(m.tensor("weight").requires_grad());
    }
    CHECK(m.tensor("weight").requires_grad());
    m.requires_grad_(false);
    CHECK_FALSE(m.tensor("weight").requires_grad());
  }

  TEST_CASE("masks of other numbers and types scale; integers and bools work") {
    Linear m = small();
    set_mask(m, "weight", Tensor::of({{0.5, 2}, {-1, 0}}));
    CHECK(m.tensor("weight").detach() == Tensor::of({{0.5, -4}, {-3, 0}}));
    set_mask(m, "weight", kMask.to(Dtype::i64));
    CHECK(m.tensor("weight_mask").dtype() == Dtype::i64);
    CHECK(m.tensor("weight").detach() == Tensor::of({{1, 0}, {0, 4}}));
    Linear other = small();
    attach_mask(other, "weight", kMask.to(Dtype::boolean));
    CHECK(other.tensor("weight_mask") == kMask);  // in the type of the weight
  }

  TEST_CASE("IEEE rules: masked negatives are -0, masked infinities and NaN are NaN") {
    const double inf = std::numeric_limits<double>::infinity();
    const auto y = apply_mask(Tensor::of({-1, inf, std::nan(""), 2}), zeros({4})).to_vector<float>();
    CHECK(y[0] == 0);
    CHECK(std::signbit(y[0]));
    CHECK(std::isnan(y[1]));
    CHECK(std::isnan(y[2]));
    CHECK_FALSE(std::signbit(y[3]));
    CHECK_THROWS_AS((void)apply_mask(zeros({2}), zeros({1})), ShapeError);
  }

  TEST_CASE("many threads may read a masked weight at once") {
    Linear m = small();
    attach_mask(m, "weight", kMask);
    m.eval();
    std::vector<int> right(4, 0);
    std::vector<std::thread> threads;
    for (int& count : right)
      threads.emplace_back([&m, &count] {
        const NoGrad off;
        for (int i = 0; i < 200; ++i) count += m(Tensor::of({{1, 1}})) == Tensor::of({{1, 4}}) ? 1 : 0;
      });
    for (std::thread& t : threads) t.join();
    CHECK(right == std::vector<int>(4, 200));
  }

  TEST_CASE("a mask that was replaced by one of another shape is an error, not a reading beyond its end") {
    Linear m = small();
    attach_mask(m, "weight", kMask);
    m.tensor("weight_mask").replace_(ones({1}));
    CHECK_THROWS_WITH_AS((void)m.tensor("weight"), doctest::Contains("mask (1,) for a tensor of shape (2, 2)"),
                         ShapeError);
    CHECK_THROWS_AS((void)m(ones({1, 2})), ShapeError);
  }

  TEST_CASE("another view of the same storage is another mask") {
    Linear m = small();
    const Tensor both = cat_tensors({zeros({2, 2}), ones({2, 2})});
    set_mask(m, "weight", narrow(both, 0, 0, 2));
    CHECK(count_nonzero(m.tensor("weight")) == 0);
    m.register_buffer("weight_mask", narrow(both, 0, 2, 2));
    CHECK(count_nonzero(m.tensor("weight")) == 4);
  }

  TEST_CASE("what a reader does to the handle it got stays with the reader") {
    Linear m = small();
    Tensor original = m.tensor("weight");
    original.requires_grad_(false);
    attach_mask(m, "weight", kMask);
    Tensor got = m.tensor("weight");
    got.requires_grad_(true);
    CHECK_FALSE(m.tensor("weight").requires_grad());
    const NoGrad off;
    Tensor handle = m.tensor("weight");
    handle.replace_(ones({2, 2}));
    CHECK(m.tensor("weight") == Tensor::of({{1, 0}, {0, 4}}));
  }

  TEST_CASE("integers wrap around, as in PyTorch") {  // undefined otherwise: UndefinedBehaviorSanitizer tells
    const auto row = []<class T>(std::vector<T> values) { return Tensor::from(values, Shape{2}); };
    CHECK(apply_mask(row(std::vector<std::int64_t>{std::int64_t{1} << 62, 3}), row(std::vector<std::int64_t>{4, -1})) ==
          row(std::vector<std::int64_t>{0, -3}));
    CHECK(apply_mask(row(std::vector<std::int32_t>{INT32_MIN, 65537}), row(std::vector<std::int32_t>{-1, 65537})) ==
          row(std::vector<std::int32_t>{INT32_MIN, 131073}));
  }
}
