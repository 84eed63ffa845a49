/// The judges of the other tests must be able to say no.
#include "support/gradcheck.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "coppice/engine/ops/elementwise.h"
#include "support/approx.h"

using namespace coppice;
using testing::differs;
using testing::gradcheck;

namespace {

/// x², whose gradient is `factor` x.
Tensor square(const Tensor& x, double factor) {
  Tensor y = Tensor::empty(x.shape(), Dtype::f64);
  const auto from = x.data<double>();
  const auto to = y.mutable_data<double>();
  for (std::size_t i = 0; i < from.size(); ++i) to[i] = from[i] * from[i];
  return with_grad(y, {x}, [saved = Saved(x), factor](const Tensor& dy) -> GradList {
    Tensor dx = saved().detach().clone();
    dx.mul_(factor);
    dx.mul_(dy);
    return {dx};
  });
}

}  // namespace

TEST_SUITE("support/gradcheck") {
  const Tensor x = Tensor::from(std::vector<double>{0.5, -1.25, 2}, {3});

  TEST_CASE("gradcheck accepts the right gradient and names the wrong one") {
    CHECK(gradcheck([](const TensorList& in) { return square(in[0], 2); }, {x}) == "");
    const std::string message = gradcheck([](const TensorList& in) { return square(in[0], 2.001); }, {x});
    CAPTURE(message);
    CHECK(message.starts_with("d output[0] / d input 0[0]: backward gives "));
  }

  TEST_CASE("gradcheck reports a gradient that got lost") {
    CHECK(gradcheck([](const TensorList& in) { return square(in[0].detach(), 2); }, {x}) ==
          "the result does not require grad");
    CHECK(gradcheck([](const TensorList& in) { return add(square(in[0], 2), in[1].detach()); }, {x, x}) != "");
  }
}

TEST_SUITE("support/approx") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();

  TEST_CASE("differs follows torch.testing") {
    CHECK(differs(Tensor::of({1, nan, -0.0, inf}), Tensor::of({1.000001, nan, 0, inf})) == "");
    CHECK(differs(Tensor::of({1, 2}), Tensor::of({1, 2.0001})) != "");
    CHECK(differs(Tensor::of({inf}), Tensor::of({-inf})) != "");
    CHECK(differs(Tensor::of({1}), Tensor::of({inf})) != "");
    CHECK(differs(Tensor::of({1}), Tensor::of({nan})) != "");
    CHECK(differs(Tensor::of({1, 2}), Tensor::of({{1, 2}})) == "shape (2,) instead of (1, 2)");
    CHECK(differs(Tensor::of({1}), Tensor::of({1}).to(Dtype::f64)) == "type float32 instead of float64");
    const Tensor big = Tensor::from(std::vector<std::int64_t>{(std::int64_t{1} << 53) + 1}, {1});
    const Tensor near = Tensor::from(std::vector<std::int64_t>{std::int64_t{1} << 53}, {1});
    CHECK(differs(big, near) != "");
    CHECK(differs(big, big.clone()) == "");
  }
}
