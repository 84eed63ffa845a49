/// What layers add to the operations they call: settings, modes, statistics, names. Values: PyTorch 2.13.
#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/engine/random.h"
#include "coppice/nn.h"
#include "support/approx.h"

using namespace coppice;
using namespace coppice::nn;
using coppice::testing::differs;

namespace {
/// [n, 1]
Tensor column(std::initializer_list<double> values) { return Tensor::of(values).reshape({-1, 1}); }
}  // namespace

TEST_SUITE("nn/layers") {
  TEST_CASE("initial values are PyTorch's for one seed: Conv2d, then Embedding; LSTM") {
    constexpr Tolerance kPrinted{0, 6e-5};
    manual_seed(0);
    const Conv2d conv(1, 1, 2);
    const Embedding embedding(2, 2);
    CHECK(differs(conv.tensor("weight").detach(), Tensor::of({-0.0037, 0.2682, -0.4115, -0.3680}).reshape({1, 1, 2, 2}),
                  kPrinted) == "");
    CHECK(differs(embedding.tensor("weight").detach(), Tensor::of({{0.5507, 0.2704}, {0.6472, 0.2490}}), kPrinted) ==
          "");
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

  TEST_CASE("Dropout: PyTorch's draws in training, the input itself in eval mode") {
    Dropout m(0.5);
    const Tensor x = ones({8});
    manual_seed(0);
    const auto y = m(x).to_vector<float>();
    for (const float v : y) CHECK((v == 0 || v == 2));
    manual_seed(0);
    CHECK(m(x).to_vector<float>() == y);
    m.eval();
    CHECK(m(x).is(x));
    CHECK(Dropout(1)(x) == zeros({8}));
    CHECK(Dropout(0)(x) == x);
    CHECK_THROWS_AS(Dropout(1.5), ValueError);
    CHECK_THROWS_AS(Dropout(-0.1), ValueError);
  }

  TEST_CASE("BatchNorm: running statistics by momentum, or as the mean of all batches") {
    BatchNorm1d m(BatchNormSettings{.features = 1, .momentum = 0.5});
    const NoGrad off;
    CHECK(differs(m(column({1, 3})), column({-1, 1}), Tolerance{1e-4, 1e-4}) == "");
    CHECK(m.tensor("running_mean") == Tensor::of({1}));
    CHECK(m.tensor("running_var") == Tensor::of({1.5}));
    BatchNorm1d all(BatchNormSettings{.features = 1, .momentum = std::nullopt});
    (void)all(column({1, 3}));
    (void)all(column({5, 9}));
    CHECK(all.tensor("running_mean") == Tensor::of({4.5}));
    CHECK(all.tensor("running_var") == Tensor::of({5}));
    CHECK(all.tensor("num_batches_tracked").item<std::int64_t>() == 2);
    all.eval();
    CHECK(differs(all(column({4.5})), column({0})) == "");
    CHECK(all.tensor("num_batches_tracked").item<std::int64_t>() == 2);
  }

  TEST_CASE("BatchNorm without statistics uses the batch's in both modes; one value cannot be normalised in training") {
    BatchNorm1d m(BatchNormSettings{.features = 1, .track_running_stats = false});
    const NoGrad off;
    const Tensor x = column({1, 3}), trained = m(x);
    m.eval();
    CHECK(m(x) == trained);
    CHECK(m.own_buffers().empty());
    BatchNorm1d plain(1);
    CHECK_THROWS_AS((void)plain(column({1})), ValueError);
    CHECK(plain.tensor("num_batches_tracked").item<std::int64_t>() == 0);
    plain.eval();
    CHECK_NOTHROW((void)plain(column({1})));
    CHECK_THROWS_AS((void)plain(ones({2, 2})), ShapeError);
    CHECK_THROWS_AS((void)plain(ones({2})), ShapeError);
    CHECK_THROWS_AS((void)BatchNorm2d(1)(ones({2, 1})), ShapeError);
    CHECK_THROWS_AS(BatchNorm1d(0), ValueError);
  }

  TEST_CASE("LayerNorm checks the end of the shape, and has as many tensors as it is told") {
    CHECK(LayerNorm({2, 3}).parameters().size() == 2);
    CHECK(LayerNorm({3}, 1e-5, true, false).parameters().size() == 1);
    CHECK(LayerNorm({3}, 1e-5, false).parameters().empty());
    CHECK_THROWS_AS((void)LayerNorm({2, 3})(ones({3, 2})), ShapeError);
    CHECK_THROWS_AS((void)LayerNorm({2, 3})(ones({3})), ShapeError);
    CHECK_THROWS_AS(LayerNorm(std::vector<std::int64_t>{}), ValueError);
  }

  TEST_CASE("Embedding: negative padding counts from the end and gets no gradient") {
    Embedding m(4, 2, -1);
    CHECK(m.arguments().integer("padding_idx") == 3);
    const Tensor index = Tensor::from(std::vector<std::int64_t>{3, 0}, {2});
    sum(m(index)).backward();
    CHECK(m.tensor("weight").grad() == Tensor::of({{1, 1}, {0, 0}, {0, 0}, {0, 0}}));
    CHECK_THROWS_AS((void)m(Tensor::from(std::vector<std::int64_t>{4}, {1})), IndexError);
    CHECK_THROWS_AS((void)m(Tensor::from(std::vector<std::int64_t>{-1}, {1})), IndexError);
    CHECK_THROWS_AS((void)m(ones({2})), DtypeError);
    CHECK_THROWS_AS(Embedding(4, 2, 4), ValueError);
    CHECK_THROWS_AS(Embedding(4, 2, -5), ValueError);
    CHECK_THROWS_AS(Embedding(-1, 2), ValueError);
  }

  TEST_CASE("EmbeddingBag: bags as rows equal bags by offsets") {
    manual_seed(2);
    for (const BagMode mode : {BagMode::sum, BagMode::mean, BagMode::max}) {
      const EmbeddingBag m(5, 3, mode);
      const Tensor index = Tensor::from(std::vector<std::int64_t>{0, 1, 4, 4, 2, 3}, {6});
      const Tensor offsets = Tensor::from(std::vector<std::int64_t>{0, 3}, {2});
      CHECK(m(index.reshape({2, 3})) == m({index, offsets})[0]);
    }
    const EmbeddingBag m(5, 3);
    CHECK_THROWS_AS((void)m(TensorList{Tensor::from(std::vector<std::int64_t>{0}, {1})}), ValueError);
  }

  TEST_CASE("convolutions refuse settings that do not fit") {
    CHECK_THROWS_AS(Conv2d(0, 1, 1), ValueError);
    CHECK_THROWS_AS(Conv2d(1, 1, 0), ValueError);
    CHECK_THROWS_AS(Conv2d(1, 1, 3, 0), ValueError);
    CHECK_THROWS_AS(Conv2d(1, 1, 3, 1, -1), ValueError);
    CHECK_THROWS_AS((Conv2d(ConvSettings{3, 4, {3}, {.groups = 2}, true})), ValueError);
    CHECK_THROWS_AS((Conv2d(ConvSettings{1, 1, {3, 3, 3}, {}, true})), ValueError);
    CHECK_THROWS_AS((Conv1d(ConvSettings{1, 1, {3}, {.dilation = {0}}, true})), ValueError);
    CHECK_THROWS_AS((void)Conv2d(3, 4, 3)(ones({1, 2, 5, 5})), ShapeError);
    CHECK_THROWS_AS((void)Conv2d(3, 4, 3)(ones({1, 3, 2, 5})), ShapeError);
    CHECK_THROWS_AS((void)make_module("Conv2d", {{"in_channels", std::int64_t{1}},
                                                 {"out_channels", std::int64_t{1}},
                                                 {"kernel_size", std::int64_t{1}},
                                                 {"padding_mode", std::string("reflect")}}),
                    NotSupported);
  }

  TEST_CASE("pooling refuses settings beyond 2^31 - 1, as the operations do") {
    const std::int64_t most = INT32_MAX, one = 1;
    for (const char* type : {"MaxPool2d", "AvgPool2d"}) {
      CHECK_NOTHROW((void)make_module(type, {{"kernel_size", most}, {"stride", most}, {"padding", most}}));
      CHECK_THROWS_AS((void)make_module(type, {{"kernel_size", most + 1}}), ValueError);
      CHECK_THROWS_AS((void)make_module(type, {{"kernel_size", std::int64_t{0}}}), ValueError);
      CHECK_THROWS_AS((void)make_module(type, {{"kernel_size", one}, {"stride", most + 1}}), ValueError);
      CHECK_THROWS_AS((void)make_module(type, {{"kernel_size", one}, {"padding", -one}}), ValueError);
    }
    CHECK_THROWS_AS((void)make_module("MaxPool2d", {{"kernel_size", one}, {"dilation", most + 1}}), ValueError);
    CHECK_THROWS_AS((void)make_module("AdaptiveAvgPool2d", {{"output_size", most + 1}}), ValueError);
    CHECK_THROWS_AS((Conv1d(ConvSettings{1, 1, {1}, {.padding = {most + 1}}, true})), ValueError);
  }

  TEST_CASE("Linear takes inputs of every rank, also without inputs or outputs") {
    const Linear m(3, 2);
    CHECK(m(ones({3})).shape() == Shape{2});
    CHECK(m(ones({4, 5, 3})).shape() == Shape{4, 5, 2});
    CHECK(m(ones({0, 3})).shape() == Shape{0, 2});
    CHECK(Linear(3, 0)(ones({2, 3})).shape() == Shape{2, 0});
    CHECK(Linear(0, 2)(ones({2, 0})) == zeros({2, 2}));
    CHECK_THROWS_AS((void)m(ones({2})), ShapeError);
    CHECK_THROWS_AS(Linear(-1, 2), ValueError);
    CHECK(m.in_features() == 3);
    CHECK(m.out_features() == 2);
  }

  TEST_CASE("Flatten and LastStep choose their axes") {
    const Tensor x = arange(0, 24).reshape({2, 3, 4});
    CHECK(Flatten()(x).shape() == Shape{2, 12});
    CHECK(Flatten(0, 1)(x).shape() == Shape{6, 4});
    CHECK_THROWS_AS((void)Flatten(2, 1)(x), Error);
    CHECK(LastStep()(x) == Tensor::of({{8, 9, 10, 11}, {20, 21, 22, 23}}));
    CHECK(LastStep(false)(x).shape() == Shape{3, 4});
    CHECK_THROWS_AS((void)LastStep()(ones({2, 3})), ShapeError);
  }

  TEST_CASE("losses reduce as told") {
    const Tensor logits = Tensor::of({{0, 0}, {0, 0}}), target = Tensor::from(std::vector<std::int64_t>{0, 1}, {2});
    const double one = std::log(2.0);
    CHECK(CrossEntropyLoss()(logits, target).item() == doctest::Approx(one));
    CHECK(CrossEntropyLoss(Reduction::sum)(logits, target).item() == doctest::Approx(2 * one));
    CHECK(CrossEntropyLoss(Reduction::none)(logits, target).shape() == Shape{2});
    CHECK(MSELoss()(Tensor::of({1, 3}), Tensor::of({0, 0})).item() == 5);
    CHECK(MSELoss(Reduction::sum)(Tensor::of({1, 3}), Tensor::of({0, 0})).item() == 10);
    CHECK_THROWS_AS((void)CrossEntropyLoss()(TensorList{logits}), ValueError);
    CHECK_THROWS_AS((void)make_module("MSELoss", {{"reduction", std::string("all")}}), ValueError);
  }
}
