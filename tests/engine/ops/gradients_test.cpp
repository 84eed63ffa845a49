// Every differentiable operation of the table: its full Jacobian by differences in double, and what becomes of its
// gradient when a tensor is overwritten between forward and backward pass.
#include <doctest/doctest.h>

#include <algorithm>

#include "coppice/engine.h"
#include "support/gradcheck.h"
#include "support/op_cases.h"
#include "support/overwrite.h"

namespace {

using namespace coppice;
using coppice::testing::gradcheck;
using coppice::testing::op_cases;
using coppice::testing::overwrite_check;
using coppice::testing::TensorListFunction;
using In = const TensorList&;

struct Call {
  std::string name;
  TensorListFunction f;
  TensorList inputs;
};

/// The differentiable cases of the table, and operations that meet in one expression.
std::vector<Call> calls() {
  std::vector<Call> all;
  for (const auto& c : op_cases()) {
    const bool conversion = c.op == "to";  // into a type in which no difference is fine enough: a test of its own
    const bool straight = c.op.starts_with("fake_quantize");  // their gradient is not that of their steps
    if (c.row().is(OpFlags::differentiable) && !conversion && !straight)
      all.push_back({c.op, [&c](In in) { return run(c, in); }, c.inputs});
  }
  const Tensor a = Tensor::from(std::vector<double>{-1.3, 0.7, 1.9, -0.4, 0.2, -1.7}, {2, 3});
  const Tensor b = Tensor::from(std::vector<double>{0.5, -1.1, 1.6}, {3});
  const auto add = [&](const char* name, Tensor (*f)(In), TensorList inputs) {
    all.push_back({name, [f](In in) { return TensorList{f(in)}; }, std::move(inputs)});
  };
  add("affine", [](In in) { return in[0] * 3.0 + 2.0; }, {a});
  add("pow of abs", [](In in) { return pow(abs(in[0]), in[1]); }, {a, b});
  add("where of gt", [](In in) { return where(gt(in[1], Tensor::of(0)), in[0], in[1]); }, {a, b});
  add("log of abs", [](In in) { return log(abs(in[0])); }, {a});
  add("sqrt of abs", [](In in) { return sqrt(abs(in[0])); }, {a});
  add("to and back", [](In in) { return in[0].to(Dtype::f32).to(Dtype::f64) * 0.0 + in[0].to(Dtype::f64); }, {a});
  return all;
}

TEST_SUITE("engine/gradients") {
  TEST_CASE("the Jacobian of every differentiable operation is that of its values") {
    for (const Call& call : calls()) {
      CAPTURE(call.name);
      const std::size_t outputs = call.f(call.inputs).size();
      for (std::size_t j = 0; j < outputs; ++j)
        CHECK(gradcheck([&](In in) { return call.f(in)[j]; }, call.inputs) == "");
    }
  }

  TEST_CASE("a tensor overwritten before backward leaves the right gradient, or is a StateError") {
    for (const Call& call : calls()) {
      CAPTURE(call.name);
      CHECK(overwrite_check(call.f, call.inputs) == "");
    }
  }

  TEST_CASE("a conversion passes gradients on in the type of its input") {
    Tensor x = Tensor::of({1, 2, 3}).to(Dtype::f64).requires_grad_();
    const Tensor y = x.to(Dtype::f32), dy = Tensor::of({0.5, -1, 2});
    y.backward(dy);
    CHECK(x.grad() == dy.to(Dtype::f64));
    CHECK_FALSE(x.to(Dtype::i32).requires_grad());
    CHECK(x.to(Dtype::f64).is(x));
  }

  TEST_CASE("what was overwritten is said with the operation whose gradient needs it") {
    Tensor x = Tensor::of({1, 2}).requires_grad_();
    Tensor w = Tensor::of({3, 4});
    const Tensor y = sum(x * w);
    w.fill_(0);
    CHECK_THROWS_WITH_AS(y.backward(),
                         "[backward] mul: a tensor of shape (2,) that the gradient needs was changed in place after "
                         "the forward pass",
                         StateError);
  }

  TEST_CASE("dropout sends gradients through what it keeps") {
    Tensor x = Tensor::from(std::vector<double>(16, 1.5), {4, 4}).requires_grad_();
    Generator generator(1);
    const Tensor y = dropout(x, 0.5, &generator);
    sum(y).backward();
    for (std::int64_t i = 0; i < 4; ++i)
      for (std::int64_t j = 0; j < 4; ++j) CHECK(x.grad().at({i, j}) == (y.at({i, j}) == 0 ? 0 : 2));
  }
}

}  // namespace
