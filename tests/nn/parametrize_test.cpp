// The cases of torch/test/nn/test_parametrization.py under their names, where they need no spectral norm or solver.
#include "coppice/nn/parametrize.h"

#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "nn/parametrizations.h"

using namespace coppice;
using namespace coppice::nn::parametrize;
using nn::Linear, nn::Module, nn::ModulePtr;

namespace {

template <class P>
ModulePtr make() {
  return std::make_shared<P>();
}

/// A scalar, whatever it is given.
class One final : public nn::Implements<One> {
 public:
  static constexpr std::string_view kType = "test.One";

 protected:
  [[nodiscard]] Tensor forward(const Tensor&) const override { return Tensor::of(1); }
};

bool has_list(const Module& m) { return m.children().contains("parametrizations"); }

/// One step of SGD on a loss that reads weight and bias.
void train(const Module& m, nn::Optimizer& optimizer) {
  optimizer.zero_grad();
  sum(mul(m.tensor("weight"), m.tensor("bias"))).backward();
  optimizer.step();
}

}  // namespace

TEST_SUITE("nn/parametrize") {
  TEST_CASE("test_register_and_remove_parametrization") {
    Linear m(8, 8);
    const Tensor weight = m.tensor("weight"), bias = m.tensor("bias");
    const Tensor start = weight.clone(), start_bias = bias.clone();
    const auto is_plain = [&] {
      CHECK_FALSE(has_list(m));
      CHECK(m.tensor("weight").is(weight));
      CHECK(m.tensor("weight") == start);
    };
    SUBCASE("another shape needs unsafe") {
      CHECK_THROWS_WITH_AS(register_parametrization(m, "weight", make<test::FirstRow>()),
                           doctest::Contains("gives shape (1, 8) for (8, 8)"), ValueError);
      is_plain();
      register_parametrization(m, "weight", make<test::FirstRow>(), true);
      CHECK(is_parametrized(m));
      CHECK(is_parametrized(m, "weight"));
      CHECK_FALSE(is_parametrized(m, "bias"));
      CHECK_FALSE(m.own_parameters().contains("weight"));
      CHECK(m.tensor("weight").shape() == Shape{1, 8});
      register_parametrization(m, "weight", make<test::Same>());
      CHECK(parametrizations_of(m, "weight").unsafe());
      CHECK(m.tensor("weight").shape() == Shape{1, 8});
      remove_parametrizations(m, "weight", false);
      is_plain();
    }
    SUBCASE("one, and two at the same time") {
      register_parametrization(m, "weight", make<test::Skew>());
      CHECK(m.tensor("weight") == neg(transpose(m.tensor("weight"))));
      register_parametrization(m, "weight", make<test::Double>());
      CHECK(m.tensor("weight") == neg(transpose(m.tensor("weight"))));
      CHECK(m.tensor("weight").at({1, 0}) == 2 * start.at({1, 0}));
      remove_parametrizations(m, "weight", false);
      is_plain();
    }
    SUBCASE("training through them, removing one after the other") {
      register_parametrization(m, "weight", make<test::Skew>());
      register_parametrization(m, "bias", make<test::FirstZero>());
      register_parametrization(m, "bias", make<test::LastZero>());
      CHECK(m.tensor("bias").at({0}) == 0);
      CHECK(m.tensor("bias").at({7}) == 0);
      CHECK(m.parameters().size() == 2);
      nn::SGD sgd(m.parameters(), {.lr = 0.1});
      train(m, sgd);
      CHECK(weight.grad().at({0, 0}) == 0);  // the diagonal takes no part
      CHECK(weight.grad().at({1, 0}) != 0);
      CHECK(bias.grad().at({0}) == 0);
      remove_parametrizations(m, "weight", false);
      CHECK(is_parametrized(m));
      CHECK_FALSE(is_parametrized(m, "weight"));
      CHECK(m.tensor("bias").at({0}) == 0);
      CHECK(m.tensor("weight").is(weight));
      CHECK_FALSE(m.tensor("weight") == start);
      train(m, sgd);
      remove_parametrizations(m, "bias", false);
      CHECK_FALSE(has_list(m));
      CHECK(m.tensor("bias").is(bias));
      CHECK(m.tensor("bias").at({0}) == start_bias.at({0}));  // it was hidden, not changed
      CHECK_FALSE(m.tensor("bias") == start_bias);
    }
    SUBCASE("leaving the computed values keeps the tensor object") {
      for (int i = 0; i < 2; ++i) {
        register_parametrization(m, "weight", make<test::Skew>());
        const Tensor computed = m.tensor("weight").detach().clone();
        remove_parametrizations(m, "weight");
        CHECK(m.tensor("weight").is(weight));
        CHECK(m.tensor("weight") == computed);
        CHECK(m.tensor("weight").requires_grad());
      }
    }
  }

  TEST_CASE("test_register_and_remove_nested_parametrization") {
    Linear m(8, 8);
    register_parametrization(m, "weight", make<test::Skew>());
    ParametrizationList& list = parametrizations_of(m, "weight");
    CHECK_FALSE(is_parametrized(list));
    register_parametrization(list, "original", make<test::Skew>());
    CHECK(is_parametrized(list, "original"));
    CHECK(list.tensor("original") == neg(transpose(list.tensor("original"))));
    CHECK(m.tensor("weight").at({2, 1}) == list.tensor("original").at({2, 1}));
    CHECK_THROWS_AS(remove_parametrizations(m, "weight"), StateError);
    remove_parametrizations(list, "original", false);
    CHECK_FALSE(has_list(list));
    remove_parametrizations(m, "weight", false);
    CHECK_FALSE(has_list(m));
  }

  TEST_CASE("test_register_and_remove_buffer_parametrization") {
    Linear m(8, 8, false);
    m.slots().erase("bias");
    m.register_buffer("bias", ones({8}));
    register_parametrization(m, "bias", make<test::FirstZero>());
    register_parametrization(m, "bias", make<test::LastZero>());
    const Tensor expected = Tensor::of({0, 1, 1, 1, 1, 1, 1, 0});
    CHECK(m.tensor("bias") == expected);
    CHECK(m.parameters().size() == 1);
    CHECK(m.named_buffers()[0].first == "parametrizations.bias.original");
    remove_parametrizations(m, "bias");
    CHECK_FALSE(is_parametrized(m));
    CHECK(m.tensor("bias") == expected);
    CHECK(m.own_buffers().contains("bias"));
    CHECK(m.parameters().size() == 1);
  }

  TEST_CASE("test_serialization_parametrization") {
    const auto build = [] {
      auto first = std::make_shared<Linear>(5, 5);
      register_parametrization(*first, "weight", make<test::Skew>());
      return std::make_shared<nn::Sequential>(
          std::initializer_list<ModulePtr>{first, std::make_shared<nn::ReLU>(), std::make_shared<Linear>(5, 1)});
    };
    const auto model = build(), fresh = build();
    const NamedTensors saved = nn::state_dict(*model);
    CHECK(saved.names() ==
          std::vector<std::string>{"0.bias", "0.parametrizations.weight.original", "2.weight", "2.bias"});
    nn::load_state_dict(*fresh, saved);
    CHECK(is_parametrized(*fresh->at(0), "weight"));
    CHECK(fresh->at(0)->tensor("weight") == model->at(0)->tensor("weight"));
  }

  TEST_CASE("test_initialization_parametrization") {
    Linear m(3, 3);
    register_parametrization(m, "weight", make<test::Double>());
    const Tensor original = parametrizations_of(m, "weight").tensor("original");
    const Tensor wanted = rand({3, 3});
    m.set_tensor("weight", wanted);
    CHECK(original == wanted * 0.5);
    CHECK(m.tensor("weight") == wanted);
    CHECK(parametrizations_of(m, "weight").tensor("original").is(original));
    SUBCASE("several are undone last first") {
      register_parametrization(m, "weight", make<test::Double>());
      m.set_tensor("weight", wanted);
      CHECK(original == wanted * 0.25);
      CHECK(m.tensor("weight") == wanted);
    }
    SUBCASE("one without right_inverse cannot be written") {
      register_parametrization(m, "weight", make<test::AddOne>());
      CHECK_THROWS_WITH_AS(m.set_tensor("weight", wanted), doctest::Contains("test.AddOne has no right_inverse"),
                           StateError);
      CHECK(original == wanted * 0.5);
    }
  }

  TEST_CASE("test_errors_unparametrized_tensor_parametrization") {
    Linear m(3, 4, true);
    const Tensor weight = m.tensor("weight"), start = weight.clone();
    CHECK_THROWS_WITH_AS(register_parametrization(m, "foo", make<test::Same>()), doctest::Contains("'foo' of Linear"),
                         ValueError);
    CHECK_THROWS_WITH_AS(remove_parametrizations(m, "bias"), doctest::Contains("'bias' of Linear is not parametrized"),
                         ValueError);
    register_parametrization(m, "weight", make<test::Sum>());
    CHECK_THROWS_WITH_AS(remove_parametrizations(m, "weight", false), doctest::Contains("leave_parametrized"),
                         ValueError);
    remove_parametrizations(m, "weight");
    const Tensor now = m.tensor("weight");
    const auto refused = [&](const ModulePtr& p) {
      CAPTURE(std::string(p->type_name()));
      CHECK_THROWS_AS(register_parametrization(m, "weight", p), ValueError);
      CHECK_FALSE(is_parametrized(m));
      CHECK(m.tensor("weight").is(now));
    };
    refused(make<test::InverseOfNothing>());
    refused(make<test::InverseOfTwo>());  // its forward takes one
    refused(make<test::InverseToBool>());
    refused(make<test::ToBool>());
    refused(make<test::FirstRow>());
    refused(make<test::Twice>());
    refused(make<test::HalvesAndShrinks>());
    CHECK_THROWS_AS(register_parametrization(m, "weight", nullptr), ValueError);
    register_parametrization(m, "weight", make<test::ListOfOne>());
    CHECK(parametrizations_of(m, "weight").has("original0"));
    CHECK_FALSE(parametrizations_of(m, "weight").has("original1"));
    remove_parametrizations(m, "weight");
    CHECK(m.tensor("weight") == start);
    CHECK(m.tensor("weight").requires_grad());
  }

  TEST_CASE("test_errors_parametrized_tensor_parametrization") {
    Linear m(3, 4);
    register_parametrization(m, "weight", make<test::Same>());
    for (const ModulePtr& p : {make<test::Twice>(), make<test::ToBool>(), make<test::FirstRow>(),
                               make<test::InverseOfTwo>(), make<test::InverseToBool>(), make<test::InverseShrinks>()}) {
      CAPTURE(std::string(p->type_name()));
      CHECK_THROWS_AS(register_parametrization(m, "weight", p), ValueError);
      CHECK(parametrizations_of(m, "weight").size() == 1);
      CHECK(parametrizations_of(m, "weight").child("0")->type_name() == "test.Same");
    }
    register_parametrization(m, "weight", make<test::NoInverseAfterAll>());
    CHECK(parametrizations_of(m, "weight").size() == 2);
  }

  TEST_CASE("test_multiple_inputs_parametrization") {
    Linear m(3, 3);
    const Tensor start = m.tensor("weight").clone();
    register_parametrization(m, "weight", make<test::Sum>());
    ParametrizationList& list = parametrizations_of(m, "weight");
    CHECK(list.own_parameters().contains("original0"));
    CHECK(list.own_parameters().contains("original1"));
    CHECK(m.tensor("weight") == start);
    register_parametrization(m, "weight", make<test::Double>());
    CHECK(m.tensor("weight") == start * 2.0);
    CHECK(m.parameters().size() == 3);
    nn::SGD sgd(m.parameters(), {.lr = 0.1});
    train(m, sgd);
    CHECK(list.tensor("original0").grad() == list.tensor("original1").grad());
    CHECK_THROWS_AS(remove_parametrizations(m, "weight", false), ValueError);
    remove_parametrizations(m, "weight");
    CHECK_FALSE(is_parametrized(m));
    CHECK(m.parameters().size() == 2);
    CHECK(m.own_parameters().contains("weight"));
    SUBCASE("writing fills all originals, or none") {
      register_parametrization(m, "weight", make<test::Sum>());
      m.set_tensor("weight", start);
      CHECK(parametrizations_of(m, "weight").tensor("original0") == start);
      CHECK(parametrizations_of(m, "weight").tensor("original1") == zeros({3, 3}));
      CHECK(m.tensor("weight") == start);
    }
  }

  TEST_CASE("a convolution says so when an unsafe parametrization gives its weight other axes") {
    nn::Conv2d conv(2, 3, 3);
    register_parametrization(conv, "weight", make<One>(), true);
    CHECK_THROWS_WITH_AS((void)conv.arguments(), doctest::Contains("[Conv2d] weight must have 4 axes; got shape ()"),
                         StateError);
    CHECK_THROWS_AS((void)conv(zeros({1, 2, 5, 5})), Error);
  }
}
