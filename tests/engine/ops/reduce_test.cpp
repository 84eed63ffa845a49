/// What golden values do not show of reductions.
#include "coppice/engine/ops/reduce.h"

#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine.h"

using namespace coppice;

TEST_SUITE("engine/reduce") {
  TEST_CASE("sums of many float32 numbers are right to the last bits, equal for any number of threads") {
    const Tensor x = rand({1 << 21});
    double exact = 0;
    for (const float v : x.data<float>()) exact += v;
    set_num_threads(1);
    const Tensor one = sum(x);
    CHECK(std::abs(one.item() - exact) <= exact * 1e-7);
    CHECK(std::abs(mean(x).item() - exact / (1 << 21)) <= 1e-7);
    for (const int threads : {2, 7}) {
      set_num_threads(threads);
      CHECK(sum(x) == one);
    }
    set_num_threads(2);
  }

  TEST_CASE("backward builds no graph: a gradient has none of its own") {
    Tensor x = Tensor::of({3});
    x.requires_grad_();
    sum(x * x * x).backward();
    CHECK(x.grad() == Tensor::of({27}));
    CHECK_FALSE(x.grad().requires_grad());
    CHECK(x.grad().is_leaf());
  }
}
