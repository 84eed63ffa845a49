// The full Jacobian of every differentiable operation, by differences in double, at points where it is smooth.
#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "support/gradcheck.h"

namespace {

using namespace coppice;
using coppice::testing::gradcheck;
using In = const TensorList&;

/// Numbers in ±2 that keep their distance: no two are within 0.01, none is within 0.01 of 0.
Tensor smooth(const Shape& shape, int salt = 0) {
  Tensor t = Tensor::empty(shape, Dtype::f64);
  const auto y = t.mutable_data<double>();
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double u = std::fmod(0.6180339887 * static_cast<double>(i + 1) + 0.37 * salt, 1.0);
    y[i] = (u < 0.5 ? -1 : 1) * (0.05 + 1.9 * std::fmod(2 * u, 1.0));
  }
  return t;
}

TEST_SUITE("engine/gradients") {
  TEST_CASE("element-wise") {
    const Tensor a = smooth({2, 3}), b = smooth({3}, 1);
    CHECK(gradcheck([](In in) { return in[0] + in[1]; }, {a, b}) == "");
    CHECK(gradcheck([](In in) { return in[0] - in[1]; }, {a, b}) == "");
    CHECK(gradcheck([](In in) { return in[0] * in[1]; }, {a, b}) == "");
    CHECK(gradcheck([](In in) { return in[0] / in[1]; }, {a, b}) == "");
    CHECK(gradcheck([](In in) { return in[0] * 3.0 + 2.0; }, {a}) == "");
    CHECK(gradcheck([](In in) { return maximum(in[0], in[1]); }, {a, b}) == "");
    CHECK(gradcheck([](In in) { return minimum(in[0], in[1]); }, {a, b}) == "");
    CHECK(gradcheck([](In in) { return pow(abs(in[0]), in[1]); }, {a, b}) == "");
    CHECK(gradcheck([](In in) { return pow(in[0], 3.0); }, {a}) == "");
    CHECK(gradcheck([](In in) { return where(gt(in[1], Tensor::of(0)), in[0], in[1]); }, {a, b}) == "");
  }

  TEST_CASE("functions") {
    const Tensor a = smooth({3, 4});
    CHECK(gradcheck([](In in) { return neg(in[0]); }, {a}) == "");
    CHECK(gradcheck([](In in) { return abs(in[0]); }, {a}) == "");
    CHECK(gradcheck([](In in) { return exp(in[0]); }, {a}) == "");
    CHECK(gradcheck([](In in) { return log(abs(in[0])); }, {a}) == "");
    CHECK(gradcheck([](In in) { return sqrt(abs(in[0])); }, {a}) == "");
    CHECK(gradcheck([](In in) { return tanh(in[0]); }, {a}) == "");
    CHECK(gradcheck([](In in) { return sigmoid(in[0]); }, {a}) == "");
    CHECK(gradcheck([](In in) { return relu(in[0]); }, {a}) == "");
    CHECK(gradcheck([](In in) { return gelu(in[0]); }, {a}) == "");
    CHECK(gradcheck([](In in) { return gelu(in[0], true); }, {a}) == "");
    CHECK(gradcheck([](In in) { return clamp(in[0], -1.003, 0.707); }, {a}) == "");
    CHECK(gradcheck([](In in) { return softmax(in[0], 0); }, {a}) == "");
    CHECK(gradcheck([](In in) { return log_softmax(in[0], 1); }, {a}) == "");
  }

  TEST_CASE("reductions") {
    const Tensor a = smooth({2, 3, 2});
    for (const Axes& axes : {Axes{}, Axes{1}, Axes{0, 2}, Axes{-1}}) {
      CHECK(gradcheck([&](In in) { return sum(in[0], axes); }, {a}) == "");
      CHECK(gradcheck([&](In in) { return mean(in[0], axes, true); }, {a}) == "");
      CHECK(gradcheck([&](In in) { return var(in[0], axes); }, {a}) == "");
      CHECK(gradcheck([&](In in) { return max(in[0], axes); }, {a}) == "");
      CHECK(gradcheck([&](In in) { return min(in[0], axes); }, {a}) == "");
      CHECK(gradcheck([&](In in) { return norm(in[0], 1, axes); }, {a}) == "");
      CHECK(gradcheck([&](In in) { return norm(in[0], 2, axes); }, {a}) == "");
    }
  }

  TEST_CASE("products") {
    CHECK(gradcheck([](In in) { return matmul(in[0], in[1]); }, {smooth({2, 3}), smooth({3, 4}, 1)}) == "");
    CHECK(gradcheck([](In in) { return matmul(in[0], in[1]); }, {smooth({2, 2, 3}), smooth({3, 2}, 1)}) == "");
    CHECK(gradcheck([](In in) { return matmul(in[0], in[1]); }, {smooth({3}), smooth({3}, 1)}) == "");
    CHECK(gradcheck([](In in) { return linear(in[0], in[1], in[2]); },
                    {smooth({2, 3}), smooth({4, 3}, 1), smooth({4}, 2)}) == "");
  }

  TEST_CASE("shapes") {
    const Tensor a = smooth({2, 3, 4});
    CHECK(gradcheck([](In in) { return transpose(in[0], 0, 2); }, {a}) == "");
    CHECK(gradcheck([](In in) { return permute(in[0], {2, 0, 1}); }, {a}) == "");
    CHECK(gradcheck([](In in) { return flatten(in[0], 1); }, {a}) == "");
    CHECK(gradcheck([](In in) { return in[0].reshape({4, -1}); }, {a}) == "");
    CHECK(gradcheck([](In in) { return in[0].clone(); }, {a}) == "");
    CHECK(gradcheck([](In in) { return narrow(in[0], 0, 1, 1); }, {a}) == "");
    CHECK(gradcheck([](In in) { return narrow(in[0], 2, 1, 2); }, {a}) == "");
    CHECK(gradcheck([](In in) { return select(in[0], 1, -1); }, {a}) == "");
    CHECK(gradcheck([](In in) { return index_select(in[0], 1, in[1]); },
                    {a, Tensor::of({2, 0, 2}).to(Dtype::i64)}) == "");
    CHECK(gradcheck([](In in) { return cat_tensors({in[0], in[1]}, 1); }, {a, smooth({2, 1, 4}, 1)}) == "");
    CHECK(gradcheck([](In in) { return stack({in[0], in[1]}, 1); }, {a, smooth({2, 3, 4}, 1)}) == "");
    CHECK(gradcheck([](In in) { return split(in[0], 2, 2)[1]; }, {a}) == "");
  }

  TEST_CASE("losses") {
    const Tensor target = Tensor::of({1, 0, 2}).to(Dtype::i64);
    for (const auto reduction : {coppice::Reduction::none, coppice::Reduction::mean, coppice::Reduction::sum}) {
      CHECK(gradcheck([&](In in) { return cross_entropy(in[0], in[1], reduction); }, {smooth({3, 4}), target}) == "");
      CHECK(gradcheck([&](In in) { return mse_loss(in[0], in[1], reduction); }, {smooth({3, 2}), smooth({3, 2}, 1)}) == "");
    }
  }

  TEST_CASE("convolutions") {
    const ConvOptions o{{2}, {1}, {1}, 2};
    CHECK(gradcheck([&](In in) { return conv1d(in[0], in[1], in[2], o); },
                    {smooth({2, 4, 5}), smooth({2, 2, 3}, 1), smooth({2}, 2)}) == "");
    CHECK(gradcheck([&](In in) { return conv2d(in[0], in[1], in[2], o); },
                    {smooth({1, 4, 4, 3}), smooth({2, 2, 2, 3}, 1), smooth({2}, 2)}) == "");
    CHECK(gradcheck([&](In in) { return conv3d(in[0], in[1], in[2], {{1}, {0}, {2}, 1}); },
                    {smooth({1, 1, 3, 3, 3}), smooth({2, 1, 2, 2, 2}, 1), smooth({2}, 2)}) == "");
  }

  TEST_CASE("pooling") {
    const Tensor a = smooth({2, 2, 5, 4});
    CHECK(gradcheck([](In in) { return max_pool2d(in[0], {.kernel = {2, 3}, .padding = {1, 1}}); }, {a}) == "");
    CHECK(gradcheck([](In in) { return avg_pool2d(in[0], {.kernel = {2, 2}, .ceil_mode = true}); }, {a}) == "");
    CHECK(gradcheck([](In in) { return adaptive_avg_pool2d(in[0], {3, 2}); }, {a}) == "");
  }

  TEST_CASE("embedding") {
    const Tensor index = Tensor::of({0, 2, 2, 1}).to(Dtype::i64);
    const Tensor offsets = Tensor::of({0, 3}).to(Dtype::i64);
    CHECK(gradcheck([](In in) { return embedding(in[0], in[1]); }, {smooth({3, 2}), index}) == "");
    for (const auto mode : {BagMode::sum, BagMode::mean, BagMode::max})
      CHECK(gradcheck([&](In in) { return embedding_bag(in[0], in[1], in[2], mode); },
                      {smooth({3, 2}), index, offsets}) == "");
  }

  TEST_CASE("LSTM, with a projection and both directions") {
    for (const bool reverse : {false, true})
      for (const bool projected : {false, true})
        for (int output = 0; output < 3; ++output) {
          const std::int64_t r = projected ? 2 : 3;
          TensorList in{smooth({3, 2, 2}), smooth({2, r}, 1), smooth({2, 3}, 2), smooth({12, 2}, 3),
                        smooth({12, r}, 4), smooth({12}, 5), smooth({12}, 6)};
          if (projected) in.push_back(smooth({2, 3}, 7));
          const auto run = [&](In t) {
            const LstmResult y = lstm_layer(t[0], t[1], t[2], {t[3], t[4], t[5], t[6], projected ? t[7] : Tensor()}, reverse);
            return output == 0 ? y.output : output == 1 ? y.h : y.c;
          };
          CAPTURE(reverse);
          CAPTURE(projected);
          CAPTURE(output);
          CHECK(gradcheck(run, in) == "");
        }
  }

  TEST_CASE("dropout sends gradients through what it keeps") {
    Tensor x = smooth({4, 4}).requires_grad_();
    Generator generator(1);
    const Tensor y = dropout(x, 0.5, &generator);
    sum(y).backward();
    for (std::int64_t i = 0; i < 4; ++i)
      for (std::int64_t j = 0; j < 4; ++j) CHECK(x.grad().at({i, j}) == (y.at({i, j}) == 0 ? 0 : 2));
  }
}

}  // namespace
