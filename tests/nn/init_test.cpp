#include "coppice/nn/init.h"

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>

#include "coppice/engine/create.h"
#include "coppice/engine/random.h"
#include "coppice/nn/layers/conv.h"
#include "coppice/nn/layers/embedding.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/nn/layers/lstm.h"
#include "coppice/nn/layers/norm.h"
#include "coppice/nn/registry.h"

using namespace coppice;
using namespace coppice::nn;

namespace {

/// Largest |value| of a tensor.
double reach(const Tensor& t) {
  double most = 0;
  for (const double v : t.to_vector<double>()) most = std::max(most, std::abs(v));
  return most;
}

}  // namespace

TEST_SUITE("nn/init") {
  TEST_CASE("manual_seed(0); Linear(3, 2) has the numbers of PyTorch 1.13") {
    manual_seed(0);
    const Linear m(3, 2);
    const std::vector<float> weight{-0.004322517663240433f, 0.3097158372402191f,  -0.4751853346824646f,
                                    -0.4248946011066437f,   -0.2223689705133438f, 0.15482072532176971f};
    CHECK(m.tensor("weight").to_vector<float>() == weight);
    CHECK(m.tensor("bias").to_vector<float>() == std::vector<float>{-0.011439144611358643f, 0.45777493716285255f});
  }

  TEST_CASE("layers draw one after the other, weight before bias") {
    manual_seed(5);
    const Linear first(4, 3), second(3, 2, false);
    manual_seed(5);
    std::vector<float> draws(12 + 3 + 6);
    const double bound = 1 / std::sqrt(4.0);
    default_generator().uniform(std::span(draws).first(15), -bound, bound);
    default_generator().uniform(std::span(draws).last(6), -1 / std::sqrt(3.0), 1 / std::sqrt(3.0));
    const auto part = [&](std::ptrdiff_t from, std::ptrdiff_t n) {
      return std::vector<float>(draws.begin() + from, draws.begin() + from + n);
    };
    CHECK(first.tensor("weight").to_vector<float>() == part(0, 12));
    CHECK(first.tensor("bias").to_vector<float>() == part(12, 3));
    CHECK(second.tensor("weight").to_vector<float>() == part(15, 6));
  }

  TEST_CASE("bounds: 1 / sqrt(fan in) for Linear and Conv, 1 / sqrt(hidden) for LSTM") {
    manual_seed(2);
    CHECK(reach(Linear(100, 100).tensor("weight")) == doctest::Approx(0.1).epsilon(0.01));
    CHECK(reach(Linear(100, 1000).tensor("bias")) == doctest::Approx(0.1).epsilon(0.01));
    const Conv2d conv(ConvSettings{8, 64, {5}, {.groups = 2}, true});  // fan in 4 * 25
    CHECK(reach(conv.tensor("weight")) == doctest::Approx(0.1).epsilon(0.01));
    const LSTM lstm(LstmSettings{.input_size = 7, .hidden_size = 25});
    for (const char* name : {"weight_ih_l0", "weight_hh_l0"})
      CHECK(reach(lstm.tensor(name)) == doctest::Approx(0.2).epsilon(0.01));
  }

  TEST_CASE("an Embedding starts normal, with zeros at the padding; norms start as the identity") {
    manual_seed(3);
    const Embedding m(200, 10, -1);
    double squares = 0;
    for (const double v : m.tensor("weight").to_vector<double>()) squares += v * v;
    CHECK(squares / 1990 == doctest::Approx(1).epsilon(0.1));
    for (std::int64_t i = 0; i < 10; ++i) CHECK(m.tensor("weight").at({199, i}) == 0);
    const BatchNorm1d norm(3);
    CHECK(norm.tensor("weight").detach() == ones({3}));
    CHECK(norm.tensor("bias").detach() == zeros({3}));
    CHECK(norm.tensor("running_mean") == zeros({3}));
    CHECK(norm.tensor("running_var") == ones({3}));
  }

  TEST_CASE("a layer without inputs gets zeros; SkipInit draws nothing") {
    CHECK(Linear(0, 2).tensor("bias").detach() == zeros({2}));
    manual_seed(0);
    {
      const SkipInit skip;
      CHECK(SkipInit::active());
      (void)Linear(30, 20);
      (void)Embedding(30, 20);
    }
    CHECK_FALSE(SkipInit::active());
    CHECK(rand({1}).item<float>() == 0.49625658988952637f);
  }

  TEST_CASE("under SkipInit no layer touches the memory of its tensors: their sizes may lie") {
    const auto resident_pages = [] {
      std::int64_t size = 0, resident = 0;
      std::ifstream("/proc/self/statm") >> size >> resident;
      return resident;
    };
    const std::int64_t n = std::int64_t{1} << 28, one = 1;  // 1 GB of float32
    const auto list = std::vector<std::int64_t>{n};
    const std::vector<std::pair<std::string, Arguments>> large{
        {"Linear", {{"in_features", n}, {"out_features", one}}},
        {"Conv1d", {{"in_channels", one}, {"out_channels", n}, {"kernel_size", one}}},
        {"BatchNorm1d", {{"num_features", n}}},
        {"LayerNorm", {{"normalized_shape", list}}},
        {"Embedding", {{"num_embeddings", one}, {"embedding_dim", n}, {"padding_idx", std::int64_t{0}}}},
        {"EmbeddingBag", {{"num_embeddings", one}, {"embedding_dim", n}, {"padding_idx", -one}}},
        {"LSTM", {{"input_size", one}, {"hidden_size", n / 64}, {"proj_size", one}}},
        {"FakeSparsity", {{"shape", list}}},
        {"ParametrizationList", {{"original_shape", list}}},
        {"PackedLinear", {{"in_features", n}, {"out_features", one}, {"format", std::string("csr")}}}};
    const SkipInit skip;
    for (const auto& [type, arguments] : large) {
      const std::string& name = type;  // Clang 14 cannot capture a structured binding
      CAPTURE(name);
      const std::int64_t before = resident_pages();
      const ModulePtr module = make_module(type, arguments);
      CHECK(resident_pages() - before < 16'384);  // 64 MB
    }
  }
}
