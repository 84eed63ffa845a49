// More cases of torch/test/nn/test_parametrization.py: caching, modes, copies, transfer.
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

}  // namespace

TEST_SUITE("nn/parametrize_transfer") {
  TEST_CASE("test_caching_parametrization") {
    Linear m(5, 5);
    register_parametrization(m, "weight", make<test::Skew>());
    register_parametrization(m, "weight", make<test::Double>());
    CHECK_FALSE(m.tensor("weight").is(m.tensor("weight")));
    const Cached outer;
    const Tensor x = m.tensor("weight");
    {
      const Cached inner;
      CHECK(m.tensor("weight").is(x));
    }
    CHECK(m.tensor("weight").is(x));  // the inner scope was not the last one
  }

  TEST_CASE("test_caching_parametrization_with_transfer_parametrizations_and_params") {
    Linear m(5, 5), to(5, 5);
    register_parametrization(m, "weight", make<test::Skew>());
    transfer_parametrizations_and_params(m, to);
    const Cached scope;
    const Tensor x = m.tensor("weight"), a = to.tensor("weight");
    CHECK(m.tensor("weight").is(x));
    CHECK(to.tensor("weight").is(a));
    CHECK_FALSE(a.is(x));
  }

  TEST_CASE("test_parametrization_same_training_mode") {
    Linear m(4, 4);
    m.eval();
    register_parametrization(m, "weight", make<test::Same>());
    const ParametrizationList& list = parametrizations_of(m, "weight");
    CHECK_FALSE(list.child("0")->training());
    m.train();
    const ModulePtr second = make<test::Same>();
    second->eval();
    register_parametrization(m, "weight", second);
    CHECK(list.child("0")->training());
    CHECK(list.child("1")->training());
  }

  TEST_CASE("test_type_before_parametrizations") {
    Linear m(5, 5);
    CHECK(type_before_parametrizations(m) == "Linear");
    register_parametrization(m, "weight", make<test::Same>());
    CHECK(type_before_parametrizations(m) == "Linear");
    CHECK(m.describe().starts_with("ParametrizedLinear("));
    CHECK(m.describe().find("(parametrizations): ModuleDict(") != std::string::npos);
  }

  TEST_CASE("test_deepcopy_after_parametrization") {
    Linear m(4, 4);
    const auto check_copy = [&] {
      const ModulePtr copy = m.clone();
      for (const auto& [name, tensor] : m.named_parameters()) {
        const auto& shown = name;
        CAPTURE(shown);
        const Tensor other = nn::fqn_to_tensor(*copy, name);
        CHECK(other == tensor);
        CHECK_FALSE(other.is(tensor));
        CHECK_FALSE(other.shares_storage(tensor));
      }
      CHECK(copy->tensor("weight") == m.tensor("weight"));
      // Removing on one side leaves the other as it is.
      remove_parametrizations(*copy, "weight");
      CHECK(copy->own_parameters().contains("weight"));
      CHECK(is_parametrized(m, "weight"));
      CHECK(copy->tensor("weight") == m.tensor("weight"));
    };
    register_parametrization(m, "weight", make<test::AddOne>());
    check_copy();
    register_parametrization(m, "bias", make<test::AddOne>());
    check_copy();
    register_parametrization(m, "weight", make<test::AddOne>());
    check_copy();
  }

  TEST_CASE("test_transfer_parametrizations_and_params") {
    Linear m(5, 5), to(5, 5);
    register_parametrization(m, "weight", make<test::AddOne>());
    register_parametrization(m, "weight", make<test::Double>());
    register_parametrization(m, "weight", make<test::MinusOne>());
    const Tensor held = m.tensor("weight").detach().clone();
    transfer_parametrizations_and_params(m, to);
    CHECK(is_parametrized(to, "weight"));
    CHECK(to.tensor("weight") == held);
    CHECK(parametrizations_of(m, "weight").tensor("original").is(parametrizations_of(to, "weight").tensor("original")));
    CHECK(m.tensor("weight") == held);
    remove_parametrizations(to, "weight", false);
    CHECK_FALSE(is_parametrized(to, "weight"));
    CHECK(is_parametrized(m, "weight"));
    m.register_parameter("test_param", randn({5, 5}));
    register_parametrization(m, "test_param", make<test::Double>());
    const Tensor held_param = m.tensor("test_param").detach().clone();
    transfer_parametrizations_and_params(m, to, "test_param");
    CHECK(to.tensor("test_param") == held_param);
    CHECK(m.tensor("test_param") == held_param);
    CHECK_FALSE(is_parametrized(to, "weight"));
    CHECK_THROWS_AS(transfer_parametrizations_and_params(m, to, "bias"), ValueError);
    Linear plain(5, 5);
    transfer_parametrizations_and_params(plain, to);  // nothing to do
    CHECK(is_parametrized(to, "test_param"));
  }

  TEST_CASE("test_transfer_parametrizations_and_params_right_inverse") {
    Linear m(5, 5), to(5, 5);
    register_parametrization(m, "weight", make<test::Double>());
    const Tensor held = m.tensor("weight").detach().clone();
    transfer_parametrizations_and_params(m, to);
    CHECK(to.tensor("weight") == held);
    CHECK(parametrizations_of(to, "weight").tensor("original") == held * 0.5);
    CHECK(m.tensor("weight") == held);
  }

  TEST_CASE("test_transfer_parametrizations_and_params_single_param") {
    Linear m(5, 5), to(5, 5);
    register_parametrization(m, "weight", make<test::AddOne>());
    register_parametrization(m, "bias", make<test::AddOne>());
    transfer_parametrizations_and_params(m, to, "weight");
    CHECK(to.tensor("weight") == m.tensor("weight"));
    CHECK(is_parametrized(to, "weight"));
    CHECK_FALSE(is_parametrized(to, "bias"));
  }

  TEST_CASE("test_transfer_parametrizations_and_params_many_to_one") {
    Linear m(5, 5), to(5, 5);
    register_parametrization(m, "weight", make<test::Sum>());
    register_parametrization(m, "weight", make<test::Double>());
    const Tensor held = m.tensor("weight").detach().clone();
    transfer_parametrizations_and_params(m, to);
    CHECK(to.tensor("weight") == held);
    const ParametrizationList &from_list = parametrizations_of(m, "weight"),
                              &to_list = parametrizations_of(to, "weight");
    CHECK(from_list.tensor("original0").is(to_list.tensor("original0")));
    CHECK(from_list.tensor("original1").is(to_list.tensor("original1")));
    CHECK(m.tensor("weight") == held);
  }
}
