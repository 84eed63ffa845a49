// The rules of the graph: what accumulates, what is refused, how gradients are switched off.
#include "coppice/engine/autograd.h"

#include <doctest/doctest.h>

#include "coppice/engine.h"

namespace {

using namespace coppice;

TEST_SUITE("engine/autograd") {
  TEST_CASE("a gradient of another floating type arrives at a leaf in its own") {
    Tensor leaf = Tensor::of({1, 2});
    leaf.requires_grad_();
    leaf.backward(Tensor::of({3, 4}).to(Dtype::f64));
    CHECK(leaf.grad() == Tensor::of({3, 4}));
  }

  TEST_CASE("gradients accumulate over calls and over uses") {
    Tensor x = Tensor::of({1, 2}).requires_grad_();
    for (int i = 0; i < 2; ++i) sum(x * x + x).backward();
    CHECK(x.grad() == Tensor::of({6, 10}));
  }

  TEST_CASE("a freed graph, a changed input and a missing graph are StateErrors") {
    Tensor x = Tensor::of({1, 2}).requires_grad_();
    Tensor w = Tensor::of({3, 4});
    const Tensor y = sum(x * w);
    y.backward(true);
    y.backward();
    CHECK_THROWS_AS(y.backward(), StateError);
    const Tensor z = sum(x * w);
    w.fill_(0);
    CHECK_THROWS_AS(z.backward(), StateError);
    CHECK(x.grad() == Tensor::of({6, 8}));  // the failed call added nothing
    CHECK_THROWS_AS(sum(w).backward(), StateError);
    CHECK_THROWS_AS((x * w).backward(), ShapeError);
  }

  TEST_CASE("NoGrad, detach and in-place rules") {
    Tensor x = Tensor::of({1, 2}).requires_grad_();
    CHECK_THROWS_AS(x.fill_(0), StateError);
    {
      NoGrad guard;
      CHECK(!(x * 2.0).requires_grad());
      x.add_(Tensor::of({1, 1}));
      const EnableGrad inner;
      CHECK((x * 2.0).requires_grad());
    }
    CHECK(x.at({0}) == 2);
    CHECK(!x.detach().requires_grad());
    CHECK_THROWS_AS((x * 2.0).requires_grad_(), StateError);
    CHECK_THROWS_AS(ones({2}, Dtype::i32).requires_grad_(), DtypeError);
  }

  TEST_CASE("a chain of 200,000 operations goes backward and is freed without recursion") {
    Tensor x = Tensor::of(0).requires_grad_();
    Tensor y = x;
    for (int i = 0; i < 200'000; ++i) y = y + 1.0;
    y.backward();
    CHECK(x.grad().item() == 1);
    y = x;
    for (int i = 0; i < 200'000; ++i) y = y + 1.0;  // freed without a backward
    y = Tensor();
  }

  TEST_CASE("needs_grad asks for grad mode and for one input that requires grad") {
    const Tensor x = Tensor::of({1, 2}), w = Tensor::of({3, 4}).requires_grad_();
    CHECK(needs_grad({x, w}));
    const Tensor none;
    CHECK_FALSE(needs_grad({x, none}));
    CHECK(grad_enabled());
    const NoGrad off;
    CHECK_FALSE(needs_grad({x, w}));
    CHECK_FALSE(grad_enabled());
    {
      const EnableGrad on;
      CHECK(needs_grad({x, w}));
      { const NoGrad again; }
      CHECK(grad_enabled());
    }
    CHECK_FALSE(grad_enabled());
  }

  TEST_CASE("with_grad of several results: the gradient of an unused one arrives undefined") {
    Tensor x = Tensor::of({1, 2}).requires_grad_();
    std::vector<bool> arrived;
    const TensorList ys = with_grad(TensorList{x.detach().clone(), x.detach().clone()}, {x}, [&](const GradList& dys) {
      arrived = {dys[0].defined(), dys[1].defined()};
      return GradList{dys[1]};
    });
    sum(ys[1] * 3.0).backward();
    CHECK(arrived == std::vector<bool>{false, true});
    CHECK(x.grad() == Tensor::of({3, 3}));
  }

  TEST_CASE("a gradient of the wrong shape is refused, and no leaf is written") {
    Tensor x = Tensor::of({1, 2}).requires_grad_(), w = Tensor::of({1, 2}).requires_grad_();
    const Tensor y = with_grad(x.detach() + w.detach(), {x, w}, [](const Tensor& dy) {
      return GradList{dy, dy.reshape({2, 1})};
    });
    CHECK_THROWS_AS(sum(y).backward(), ShapeError);
    CHECK_FALSE(x.grad().defined());
    CHECK_FALSE(w.grad().defined());
  }

  TEST_CASE("Saved is empty by default, and refuses what was written since") {
    CHECK_FALSE(Saved()().defined());
    CHECK_FALSE(Saved(Tensor())().defined());
    Tensor t = Tensor::of({1, 2});
    const Saved saved(t);
    CHECK(saved() == t);
    t.fill_(0);
    CHECK_THROWS_AS((void)saved(), StateError);
  }
}

}  // namespace
