/// The judges of the other tests must be able to say no.
#include "support/gradcheck.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "coppice/engine/ops/elementwise.h"
#include "support/approx.h"
#include "support/overwrite.h"

using namespace coppice;
using testing::differs;
using testing::gradcheck;
using testing::overwrite_check;

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

/// x², whose gradient reads x, or the result, without asking whether they changed.
Tensor careless_square(const Tensor& x, bool keeps_result) {
  Tensor y = square(x.detach(), 2);
  return with_grad(y, {x}, [kept = keeps_result ? y.detach() : x.detach(), keeps_result](const Tensor& dy) -> GradList {
    return {keeps_result ? mul(mul(sqrt(kept), 2), dy) : mul(mul(kept, 2), dy)};
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

TEST_SUITE("support/overwrite") {
  TEST_CASE("overwrite_check accepts a StateError and names a gradient that went wrong without a word") {
    const Tensor x = Tensor::from(std::vector<double>{0.5, 2}, {2});
    CHECK(overwrite_check([](const TensorList& in) { return TensorList{square(in[0], 2)}; }, {x}) == "");
    const std::string input =
        overwrite_check([](const TensorList& in) { return TensorList{careless_square(in[0], false)}; }, {x});
    const std::string output =
        overwrite_check([](const TensorList& in) { return TensorList{careless_square(in[0], true)}; }, {x});
    CHECK(input.starts_with("after input 0 became 7.25, the gradient of input 0 is "));
    CHECK(output.starts_with("after result 0 became 7.25, the gradient of input 0 is "));
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
