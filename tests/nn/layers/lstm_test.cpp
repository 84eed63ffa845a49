// An LSTM's first values, tensors, inputs and settings. Values: PyTorch 2.13.
#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "support/approx.h"

using namespace coppice;
using namespace coppice::nn;
using coppice::testing::differs;

TEST_SUITE("nn/layers/lstm") {
  TEST_CASE("initial values are PyTorch's for one seed") {
    constexpr Tolerance kPrinted{0, 6e-5};
    manual_seed(0);
    const LSTM lstm(LstmSettings{.input_size = 1, .hidden_size = 1});
    CHECK(differs(lstm.tensor("weight_ih_l0").detach().reshape({4}), Tensor::of({-0.0075, 0.5364, -0.8230, -0.7359}),
                  kPrinted) == "");
    CHECK(differs(lstm.tensor("weight_hh_l0").detach().reshape({4}), Tensor::of({-0.3852, 0.2682, -0.0198, 0.7929}),
                  kPrinted) == "");
    CHECK(differs(lstm.tensor("bias_ih_l0").detach(), Tensor::of({-0.0887, 0.2646, -0.3022, -0.1966}), kPrinted) == "");
    CHECK(differs(lstm.tensor("bias_hh_l0").detach(), Tensor::of({-0.9553, -0.6623, -0.4122, 0.0370}), kPrinted) == "");
  }

  TEST_CASE("an LSTM's tensors: names, order and shapes with layers, directions and projections") {
    const LSTM m(
        LstmSettings{.input_size = 3, .hidden_size = 4, .num_layers = 2, .bidirectional = true, .proj_size = 2});
    std::string text;
    for (const auto& [name, t] : m.named_parameters()) text += cat(name, " ", t.shape(), "\n");
    CHECK(text ==
          "weight_ih_l0 (16, 3)\nweight_hh_l0 (16, 2)\nbias_ih_l0 (16,)\nbias_hh_l0 (16,)\nweight_hr_l0 (2, 4)\n"
          "weight_ih_l0_reverse (16, 3)\nweight_hh_l0_reverse (16, 2)\nbias_ih_l0_reverse (16,)\n"
          "bias_hh_l0_reverse (16,)\nweight_hr_l0_reverse (2, 4)\n"
          "weight_ih_l1 (16, 4)\nweight_hh_l1 (16, 2)\nbias_ih_l1 (16,)\nbias_hh_l1 (16,)\nweight_hr_l1 (2, 4)\n"
          "weight_ih_l1_reverse (16, 4)\nweight_hh_l1_reverse (16, 2)\nbias_ih_l1_reverse (16,)\n"
          "bias_hh_l1_reverse (16,)\nweight_hr_l1_reverse (2, 4)\n");
  }

  TEST_CASE("an LSTM takes a sequence alone, batched either way round, with or without a start") {
    manual_seed(1);
    const LSTM m(LstmSettings{.input_size = 3, .hidden_size = 4, .bidirectional = true});
    const NoGrad off;
    const Tensor x = randn({5, 3});
    const TensorList alone = m(TensorList{x}), batched = m(TensorList{x.reshape({5, 1, 3})});
    CHECK(alone[0].shape() == Shape{5, 8});
    CHECK(alone[1].shape() == Shape{2, 4});
    CHECK(alone[0] == batched[0].reshape({5, 8}));
    const TensorList started = m({x, zeros({2, 4}), zeros({2, 4})});
    for (std::size_t i = 0; i < 3; ++i) CHECK(started[i] == alone[i]);
    CHECK_FALSE(m({x, ones({2, 4}), zeros({2, 4})})[0] == alone[0]);
    CHECK_THROWS_AS((void)m({x, zeros({2, 4})}), ValueError);
    CHECK_THROWS_AS((void)m({x, zeros({1, 4}), zeros({2, 4})}), ShapeError);
    CHECK_THROWS_AS((void)m(ones({5, 4})), ShapeError);
    CHECK_THROWS_AS((void)m(ones({3})), ShapeError);
  }

  TEST_CASE("an LSTM's settings out of range") {
    const LstmSettings good{.input_size = 2, .hidden_size = 3};
    const auto refused = [&](auto change) {
      LstmSettings s = good;
      change(s);
      CHECK_THROWS_AS(LSTM{s}, ValueError);
    };
    CHECK_NOTHROW(LSTM{good});
    refused([](auto& s) { s.input_size = 0; });
    refused([](auto& s) { s.hidden_size = -1; });
    refused([](auto& s) { s.num_layers = 0; });
    refused([](auto& s) { s.proj_size = 3; });
    refused([](auto& s) { s.proj_size = -1; });
    refused([](auto& s) { s.dropout = 1.5; });
    refused([](auto& s) { s.dropout = std::nan(""); });
  }

  TEST_CASE("LastStep gives the last output of a sequence, batch first or not") {
    const Tensor x = arange(0, 24).reshape({2, 3, 4});
    CHECK(LastStep()(x) == Tensor::of({{8, 9, 10, 11}, {20, 21, 22, 23}}));
    CHECK(LastStep(false)(x).shape() == Shape{3, 4});
    CHECK_THROWS_AS((void)LastStep()(ones({2, 3})), ShapeError);
  }
}
