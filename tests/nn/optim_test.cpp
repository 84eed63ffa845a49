/// What golden values do not show: masks, identity, bad settings. The formulas are in golden/training_test.cpp.
#include "coppice/nn/optim.h"

#include <doctest/doctest.h>

#include <chrono>
#include <cmath>
#include <functional>

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"

using namespace coppice;
using namespace coppice::nn;

namespace {

Tensor parameter(std::initializer_list<double> values) {
  Tensor t = Tensor::of(values);
  return t.requires_grad_(), t;
}

using Make = std::function<std::unique_ptr<Optimizer>(TensorList)>;
const std::vector<std::pair<std::string, Make>> kKinds{
    {"sgd",
     [](TensorList p) {
       return std::make_unique<SGD>(p, SgdOptions{.lr = 0.1, .momentum = 0.9, .weight_decay = 0.5});
     }},
    {"nesterov",
     [](TensorList p) {
       return std::make_unique<SGD>(p, SgdOptions{.lr = 0.1, .momentum = 0.9, .weight_decay = 0.5, .nesterov = true});
     }},
    {"adam", [](TensorList p) { return std::make_unique<Adam>(p, AdamOptions{.lr = 0.1, .weight_decay = 0.5}); }},
    {"adamw", [](TensorList p) { return std::make_unique<AdamW>(p, AdamOptions{.lr = 0.1, .weight_decay = 0.5}); }}};

/// The same without weight decay, and Adam with amsgrad.
const std::vector<std::pair<std::string, Make>> kCalm{
    {"sgd", [](TensorList p) { return std::make_unique<SGD>(p, SgdOptions{.lr = 0.1}); }},
    {"momentum", [](TensorList p) { return std::make_unique<SGD>(p, SgdOptions{.lr = 0.1, .momentum = 0.9}); }},
    {"nesterov",
     [](TensorList p) { return std::make_unique<SGD>(p, SgdOptions{.lr = 0.1, .momentum = 0.9, .nesterov = true}); }},
    {"adam", [](TensorList p) { return std::make_unique<Adam>(p, AdamOptions{.lr = 0.1}); }},
    {"amsgrad", [](TensorList p) { return std::make_unique<Adam>(p, AdamOptions{.lr = 0.1, .amsgrad = true}); }},
    {"adamw", [](TensorList p) { return std::make_unique<AdamW>(p, AdamOptions{.lr = 0.1}); }}};

}  // namespace

TEST_SUITE("nn/optim") {
  TEST_CASE("a mask that no longer fits its parameter is refused before anything changes") {
    Tensor p = parameter({1, 2});
    SGD optimizer({p}, {.lr = 0.1});
    optimizer.set_mask(p, Tensor::of({1, 0}));
    {
      const NoGrad off;
      p.replace_(Tensor::of({1, 2, 3}));
    }
    p.set_grad(Tensor::of({1, 1, 1}));
    CHECK_THROWS_WITH_AS(optimizer.step(), "[Optimizer] the mask of parameter 0 has shape (2,) for a parameter of (3,)",
                         ShapeError);
    CHECK(p.detach() == Tensor::of({1, 2, 3}));
  }

  TEST_CASE("a state that is loaded goes on as if nothing had been saved") {
    const auto step = [](Optimizer& optimizer, Tensor p, double g) {
      p.set_grad(full(p.shape(), g));
      optimizer.step();
    };
    for (const auto& [name, make] : kKinds) {
      const auto& shown = name;  // Clang 14 cannot capture a structured binding
      CAPTURE(shown);
      const Tensor a = parameter({1, 2}), never = parameter({3});
      const auto first = make({a, never});
      CHECK(first->state_dict().empty());
      step(*first, a, 0.5);
      step(*first, a, -2);
      const Tensor b = parameter({0, 0}), other = parameter({3});
      {
        const NoGrad off;
        Tensor(b).copy_(a);
      }
      const auto second = make({b, other});
      step(*second, other, 1);  // what it had is forgotten
      second->load_state_dict(first->state_dict());
      CHECK(second->state_dict().names() == first->state_dict().names());
      for (const double g : {1.0, 0.25}) {
        step(*first, a, g);
        step(*second, b, g);
        CHECK(a.detach() == b.detach());
      }
    }
  }

  TEST_CASE("a state that does not fit is refused and changes nothing") {
    const Tensor p = parameter({1, 2});
    Adam adam({p}, {});
    Tensor(p).set_grad(ones({2}));
    adam.step();
    const NamedTensors good = adam.state_dict();
    const auto without = [&](const char* name) {
      NamedTensors bent = good;
      REQUIRE(bent.erase(name));
      return bent;
    };
    CHECK(good.names() == std::vector<std::string>{"0.exp_avg", "0.exp_avg_sq", "0.step"});
    for (const char* name : {"0.exp_avg", "0.exp_avg_sq", "0.step"})
      CHECK_THROWS_AS(adam.load_state_dict(without(name)), KeyError);
    NamedTensors bent = good;
    bent.set("0.exp_avg", ones({3}));
    CHECK_THROWS_AS(adam.load_state_dict(bent), ShapeError);
    bent.set("0.exp_avg", ones({2}, Dtype::f64));
    CHECK_THROWS_AS(adam.load_state_dict(bent), DtypeError);
    bent = good;
    bent.add("1.exp_avg", ones({2}));
    CHECK_THROWS_AS(adam.load_state_dict(bent), KeyError);
    for (const std::int64_t steps : {std::int64_t{-1}, (std::int64_t{1} << 53) + 1, INT64_MAX}) {
      bent = good;
      bent.set("0.step", Tensor::from(std::vector<std::int64_t>{steps}, {}));
      CHECK_THROWS_AS(adam.load_state_dict(bent), ShapeError);  // one step more would overflow
    }
    CHECK_THROWS_AS(SGD({p}, {.momentum = 0.5}).load_state_dict(good), KeyError);
    CHECK(adam.state_dict().at("0.step").item<std::int64_t>() == 1);
    CHECK(adam.state_dict().at("0.exp_avg") == good.at("0.exp_avg"));
  }

  TEST_CASE(
      "an infinite weight stays where nothing pulls at it: without weight decay the weight is no term of the step") {
    constexpr double kInf = HUGE_VAL;
    for (const auto& [name, make] : kCalm) {
      const auto& shown = name;  // Clang 14 cannot capture a structured binding
      CAPTURE(shown);
      Tensor p = parameter({kInf, -kInf, 3});
      const auto optimizer = make({p});
      for (int step = 0; step < 3; ++step) {
        p.set_grad(Tensor::of({0, -0.0, 0}));
        optimizer->step();
        CHECK(p.detach() == Tensor::of({kInf, -kInf, 3}));
      }
    }
  }

  TEST_CASE("the sign of a zero gradient is kept: the first momentum is the gradient itself") {
    const Tensor p = parameter({1, 1, -1});
    SGD sgd({p}, {.lr = 0.1, .momentum = 0.9});
    Tensor(p).set_grad(Tensor::of({-0.0, 0.0, -0.0}));
    sgd.step();
    const auto velocity = sgd.state_dict().at("0.momentum_buffer").to_vector<float>();
    CHECK(velocity == std::vector<float>{0, 0, 0});
    CHECK(std::signbit(velocity[0]));
    CHECK_FALSE(std::signbit(velocity[1]));
    CHECK(std::signbit(velocity[2]));
    // A zero that goes down by +0 stays what it is; by -0 it becomes +0, as -0 + 0 is.
    const Tensor zeros = parameter({-0.0, -0.0});
    SGD plain({zeros}, {.lr = 0.1});
    Tensor(zeros).set_grad(Tensor::of({0.0, -0.0}));
    plain.step();
    CHECK(std::signbit(zeros.to_vector<float>()[0]));
    CHECK_FALSE(std::signbit(zeros.to_vector<float>()[1]));
  }

  TEST_CASE("NaN is the largest second moment that amsgrad has seen, for good") {
    const Tensor p = parameter({1});
    Adam adam({p}, {.amsgrad = true});
    for (const double g : {std::nan(""), 1.0}) {
      Tensor(p).set_grad(full({1}, g));
      adam.step();
      CHECK(std::isnan(adam.state_dict().at("0.max_exp_avg_sq").item()));
    }
  }

  TEST_CASE("masked entries stay at +0, whatever momentum and weight decay would do") {
    for (const auto& [name, make] : kKinds) {
      const auto& shown = name;  // Clang 14 cannot capture a structured binding
      CAPTURE(shown);
      Tensor p = parameter({1, -2, 3});
      const auto optimizer = make({p});
      for (int i = 0; i < 3; ++i) {  // momentum builds up before the mask comes
        p.set_grad(Tensor::of({1, 1, 1}));
        optimizer->step();
      }
      optimizer->set_mask(p, Tensor::of({1, 0, 1}));
      const auto masked = p.to_vector<float>();
      CHECK(masked[1] == 0);
      CHECK_FALSE(std::signbit(masked[1]));
      for (int i = 0; i < 3; ++i) {
        p.set_grad(Tensor::of({1, 1, 1}));
        optimizer->step();
        CHECK(p.at({1}) == 0);
        CHECK_FALSE(std::signbit(p.to_vector<float>()[1]));
      }
      CHECK(p.at({0}) != masked[0]);
      optimizer->set_mask(p, Tensor());
      p.set_grad(Tensor::of({1, 1, 1}));
      optimizer->step();
      CHECK(p.at({1}) != 0);
    }
  }

  TEST_CASE("parameters without a gradient are left alone") {
    for (const auto& [name, make] : kKinds) {
      const auto& shown = name;
      CAPTURE(shown);
      Tensor a = parameter({1}), b = parameter({1});
      const auto optimizer = make({a, b});
      a.set_grad(Tensor::of({1}));
      optimizer->step();
      CHECK(a.at({0}) != 1);
      CHECK(b.at({0}) == 1);
    }
  }

  TEST_CASE("a step that one parameter does not allow changes none") {
    for (const auto& [name, make] : kKinds) {
      const auto& shown = name;
      CAPTURE(shown);
      const Tensor a = parameter({1, 2});
      Tensor half = ones({2}, Dtype::f16);
      half.requires_grad_();
      const auto optimizer = make({a, half});
      Tensor(a).set_grad(ones({2}));
      half.set_grad(ones({2}, Dtype::f16));
      CHECK_THROWS_WITH_AS(optimizer->step(), "[Optimizer] trains float32 and float64 parameters; got float16",
                           DtypeError);
      CHECK(a.detach() == Tensor::of({1, 2}));
      CHECK(optimizer->state_dict().empty());
    }
    const Tensor a = parameter({1, 2}), b = parameter({1, 2});
    Adam adam({a, b}, {});
    for (const Tensor& p : {a, b}) Tensor(p).set_grad(ones({2}));
    adam.step();
    const auto before = a.to_vector<float>();
    {
      const NoGrad off;
      Tensor(b).replace_(ones({2}, Dtype::f64));  // as a conversion of the module does
    }
    Tensor(b).set_grad(ones({2}, Dtype::f64));
    CHECK_THROWS_WITH_AS(adam.step(), "[Optimizer] '1.exp_avg' is float32 for a parameter of float64", DtypeError);
    CHECK(a.to_vector<float>() == before);
    CHECK(adam.state_dict().at("1.step").item<std::int64_t>() == 1);
  }

  TEST_CASE("parameters are held by identity: another storage or type in the same tensor is trained on") {
    Tensor p = parameter({1, 1});
    SGD optimizer({p}, {.lr = 1});
    {
      const NoGrad off;
      p.replace_(Tensor::of({5, 6}));
    }
    p.set_grad(Tensor::of({1, 2}));
    optimizer.step();
    CHECK(p.detach() == Tensor::of({4, 4}));
  }

  TEST_CASE("bad settings are refused") {
    const Tensor p = parameter({1});
    CHECK_THROWS_AS(SGD({}, {}), ValueError);
    CHECK_THROWS_AS(SGD({p, p}, {}), ValueError);
    CHECK_THROWS_AS(SGD({Tensor()}, {}), ValueError);
    CHECK_THROWS_AS(SGD({p}, {.lr = -1}), ValueError);
    CHECK_THROWS_AS(SGD({p}, {.lr = std::nan("")}), ValueError);
    CHECK_THROWS_AS(SGD({p}, {.momentum = -0.1}), ValueError);
    CHECK_THROWS_AS(SGD({p}, {.nesterov = true}), ValueError);
    CHECK_THROWS_AS(SGD({p}, {.momentum = 0.9, .dampening = 0.1, .nesterov = true}), ValueError);
    CHECK_THROWS_AS(Adam({p}, {.beta1 = 1}), ValueError);
    CHECK_THROWS_AS(Adam({p}, {.beta2 = -0.1}), ValueError);
    CHECK_THROWS_AS(Adam({p}, {.eps = -1}), ValueError);
    CHECK_THROWS_AS(AdamW({p}, {.weight_decay = -1}), ValueError);
    SGD optimizer({p}, {});
    CHECK_THROWS_AS(optimizer.set_lr(-1), ValueError);
    CHECK_THROWS_AS(optimizer.set_mask(parameter({1}), ones({1})), KeyError);
    CHECK_THROWS_AS(optimizer.set_mask(p, ones({2})), ShapeError);
  }

  TEST_CASE("100,000 parameters are held, found and told apart in a moment") {
    TensorList many;
    for (int i = 0; i < 100'000; ++i) many.push_back(ones({1}));
    const Tensor none = zeros({1});
    const auto begin = std::chrono::steady_clock::now();
    SGD optimizer(many, {});
    for (const Tensor& p : many) optimizer.set_mask(p, none);
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(5));  // walks over all are 10^10 steps
    CHECK(many.front().item() == 0);
    CHECK(many.back().item() == 0);
    many.push_back(many.front());
    CHECK_THROWS_WITH_AS(SGD(many, {}), doctest::Contains("parameter 100000 is given twice"), ValueError);
    CHECK_THROWS_AS(optimizer.set_mask(Tensor(), none), KeyError);
  }
}
