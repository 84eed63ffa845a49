#include "coppice/nn/layers/container.h"

#include <doctest/doctest.h>

#include "coppice/engine/create.h"
#include "coppice/nn/layers/activation.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/nn/layers/lstm.h"
#include "coppice/nn/slots.h"

using namespace coppice;
using namespace coppice::nn;

TEST_SUITE("nn/container") {
  TEST_CASE("Sequential calls its children in order and names them by position or as told") {
    const Sequential counted{std::make_shared<ReLU>(), std::make_shared<Flatten>()};
    CHECK(counted.children().begin()->first == "0");
    CHECK(counted.size() == 2);
    CHECK(counted(Tensor::of({{-1, 2}}).reshape({1, 1, 2})) == Tensor::of({{0, 2}}));
    const Sequential named{{"act", std::make_shared<ReLU>()}};
    CHECK(named.child("act")->type_name() == "ReLU");
    CHECK(Sequential()(Tensor::of({1, 2})) == Tensor::of({1, 2}));
  }

  TEST_CASE("children are found by position from either end") {
    const Sequential s{std::make_shared<ReLU>(), std::make_shared<Tanh>()};
    CHECK(s.at(0)->type_name() == "ReLU");
    CHECK(s.at(-1)->type_name() == "Tanh");
    CHECK_THROWS_AS((void)s.at(2), IndexError);
    CHECK_THROWS_AS((void)s.at(-3), IndexError);
  }

  TEST_CASE("append goes on counting and returns the container; a name is never taken over") {
    Sequential s;
    s.append(std::make_shared<ReLU>()).append(std::make_shared<Tanh>()).append(std::make_shared<Sigmoid>());
    CHECK(s.at(2)->type_name() == "Sigmoid");
    s.slots().erase("0");  // "1" and "2" are left; the next number would be "2"
    CHECK_THROWS_AS(s.append(std::make_shared<GELU>()), KeyError);
    CHECK(s.at(-1)->type_name() == "Sigmoid");
    CHECK_THROWS_AS(Sequential().append(nullptr), ValueError);
    CHECK_THROWS_AS((Sequential{{"a", std::make_shared<ReLU>()}, {"a", std::make_shared<Tanh>()}}), KeyError);
    CHECK_THROWS_AS((ModuleDict{{"a", std::make_shared<ReLU>()}, {"a", std::make_shared<Tanh>()}}), KeyError);
  }

  TEST_CASE("all outputs of one child go to the next") {
    const Sequential s{std::make_shared<LSTM>(LstmSettings{.input_size = 3, .hidden_size = 4, .batch_first = true}),
                       std::make_shared<LastStep>()};
    CHECK(s(zeros({2, 5, 3})).shape() == Shape{2, 4});
  }

  TEST_CASE("ModuleList and ModuleDict keep order and are not called") {
    ModuleList list{std::make_shared<ReLU>(), std::make_shared<Tanh>()};
    list.append(std::make_shared<Sigmoid>());
    CHECK(list.size() == 3);
    CHECK(list.at(-1)->type_name() == "Sigmoid");
    CHECK_THROWS_AS((void)list(Tensor::of(1)), NotSupported);
    const ModuleDict dict{{"z", std::make_shared<ReLU>()}, {"a", std::make_shared<Tanh>()}};
    CHECK(dict.children().begin()->first == "z");
    CHECK_THROWS_AS((void)dict(Tensor::of(1)), NotSupported);
  }
}
