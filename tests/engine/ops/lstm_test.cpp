// One direction of an LSTM layer: its steps, its ends, its refusals. Values at length: the golden values of nn::LSTM.
#include "coppice/engine/ops/lstm.h"

#include <doctest/doctest.h>

#include "coppice/engine.h"

namespace {

using namespace coppice;

constexpr Tolerance kClose{1e-12, 1e-12};

struct Setting {
  Tensor x, h0, c0;
  LstmWeights w;
};

/// t steps of n sequences; in 2, hidden 3; with a projection to 2 if asked for.
Setting setting(std::int64_t t, std::int64_t n, bool projected) {
  Generator g(4);
  const auto draw = [&g](const Shape& shape) { return randn(shape, Dtype::f64, &g); };
  const std::int64_t r = projected ? 2 : 3;
  return {draw({t, n, 2}),
          draw({n, r}),
          draw({n, 3}),
          {draw({12, 2}), draw({12, r}), draw({12}), draw({12}), projected ? draw({2, 3}) : Tensor()}};
}

LstmResult run(const Setting& s, bool reverse = false) { return lstm_layer(s.x, s.h0, s.c0, s.w, reverse); }

TEST_SUITE("engine/lstm") {
  TEST_CASE("a step follows the formula") {
    for (const bool projected : {false, true}) {
      const Setting s = setting(1, 2, projected);
      const Tensor x = select(s.x, 0, 0);
      const TensorList gates =
          split(linear(x, s.w.ih, s.w.bias_ih) + linear(s.h0, s.w.hh, s.w.bias_hh), std::int64_t{3}, 1);
      const Tensor c = sigmoid(gates[1]) * s.c0 + sigmoid(gates[0]) * tanh(gates[2]);
      Tensor h = sigmoid(gates[3]) * tanh(c);
      if (projected) h = linear(h, s.w.hr);
      const LstmResult y = run(s);
      CHECK(allclose(y.c, c, kClose));
      CHECK(allclose(y.h, h, kClose));
      CHECK(select(y.output, 0, 0) == y.h);
    }
  }

  TEST_CASE("a sequence is its steps one by one; reversed, it is the sequence turned round") {
    for (const bool projected : {false, true}) {
      const Setting s = setting(4, 2, projected);
      const LstmResult all = run(s);
      Setting one = s;
      TensorList turned;
      for (std::int64_t i = 0; i < 4; ++i) {
        one.x = narrow(s.x, 0, i, 1);
        const LstmResult y = run(one);
        CHECK(allclose(y.h, select(all.output, 0, i), kClose));
        one.h0 = y.h;
        one.c0 = y.c;
        turned.insert(turned.begin(), one.x);
      }
      CHECK(allclose(one.c0, all.c, kClose));
      Setting back = s;
      back.x = cat_tensors(turned);
      CHECK(allclose(run(back, true).h, all.h, kClose));
    }
  }

  TEST_CASE("no steps give the start back; no sequences give nothing; no biases count as zeros") {
    const Setting none = setting(0, 2, false);
    CHECK(run(none).h == none.h0);
    CHECK(run(none).c == none.c0);
    CHECK(run(none).output.shape() == Shape{0, 2, 3});
    CHECK(run(setting(3, 0, false)).output.shape() == Shape{3, 0, 3});
    Setting s = setting(3, 2, false);
    s.w.bias_ih = s.w.bias_hh = zeros({12}, Dtype::f64);
    const LstmResult zero = run(s);
    s.w.bias_ih = s.w.bias_hh = Tensor();
    CHECK(allclose(run(s).output, zero.output, kClose));
  }

  TEST_CASE("tensors that do not fit are refused") {
    const Setting good = setting(2, 2, false);
    const auto refused = [&](auto change) {
      Setting s = good;
      change(s);
      CHECK_THROWS_AS((void)run(s), ShapeError);
    };
    refused([](Setting& s) { s.x = select(s.x, 0, 0); });
    refused([](Setting& s) { s.h0 = zeros({2, 4}, Dtype::f64); });
    refused([](Setting& s) { s.c0 = zeros({3, 3}, Dtype::f64); });
    refused([](Setting& s) { s.w.ih = zeros({11, 2}, Dtype::f64); });
    refused([](Setting& s) { s.w.hh = zeros({12, 2}, Dtype::f64); });
    refused([](Setting& s) { s.w.bias_ih = zeros({3}, Dtype::f64); });
    refused([](Setting& s) { s.w.hr = zeros({2, 4}, Dtype::f64); });
    Setting mixed = good;
    mixed.x = mixed.x.to(Dtype::f32);
    CHECK_THROWS_AS((void)run(mixed), DtypeError);
  }
}

}  // namespace
