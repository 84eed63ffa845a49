// Activations and dropout: the operation, with settings as PyTorch names them.
#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "support/approx.h"

using namespace coppice;
using namespace coppice::nn;
using coppice::testing::differs;

TEST_SUITE("nn/layers/activation") {
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

  TEST_CASE("each is its operation, also when it was made from arguments") {
    const Tensor x = Tensor::of({{-1.5, 0, 2}, {0.5, -0.25, 1}});
    CHECK(ReLU()(x) == relu(x));
    CHECK(Sigmoid()(x) == sigmoid(x));
    CHECK(Tanh()(x) == tanh(x));
    CHECK(GELU()(x) == gelu(x));
    CHECK(GELU(true)(x) == gelu(x, true));
    CHECK(Softmax(0)(x) == softmax(x, 0));
    CHECK((*make_module("ReLU", {{"inplace", true}}))(x) == relu(x));
    CHECK((*make_module("GELU", {{"approximate", std::string("tanh")}}))(x) == gelu(x, true));
    CHECK((*make_module("Softmax", {{"dim", std::int64_t{0}}}))(x) == softmax(x, 0));
    CHECK((*make_module("Softmax", {}))(x) == softmax(x, -1));
  }

  TEST_CASE("settings go both ways, and other words and numbers are refused") {
    for (const ModulePtr& m : {ModulePtr(std::make_shared<GELU>(true)), ModulePtr(std::make_shared<Softmax>(1)),
                               ModulePtr(std::make_shared<Dropout>(0.25))})
      CHECK(make_module(std::string(m->type_name()), m->arguments())->arguments() == m->arguments());
    CHECK_THROWS_AS((void)make_module("GELU", {{"approximate", std::string("erf")}}), ValueError);
    CHECK_THROWS_AS((void)make_module("Dropout", {{"p", 2.0}}), ValueError);
    CHECK_THROWS_AS((void)make_module("ReLU", {{"slope", 0.1}}), KeyError);
    CHECK_THROWS_AS((void)Softmax(3)(ones({2, 2})), IndexError);
  }
}
