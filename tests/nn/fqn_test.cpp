#include "coppice/nn/fqn.h"

#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/nn.h"

using namespace coppice;

TEST_SUITE("nn/fqn") {
  TEST_CASE("modules and tensors are found by their paths, and paths by modules") {
    const auto inner = std::make_shared<nn::Linear>(2, 3);
    const auto model = std::make_shared<nn::Sequential>(std::initializer_list<std::pair<std::string, nn::ModulePtr>>{
        {"seq", std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{inner})}, {"again", inner}});
    CHECK(nn::module_to_fqn(*model, *model) == "");
    CHECK(nn::module_to_fqn(*model, *inner) == "seq.0");  // the first of its two places
    CHECK_FALSE(nn::module_to_fqn(*model, nn::ReLU()).has_value());
    CHECK(nn::fqn_to_module(*model, "") == model.get());
    const nn::Module& fixed = *model;
    CHECK(nn::fqn_to_module(fixed, "again") == inner.get());
    CHECK(nn::fqn_to_module(fixed, "seq.1") == nullptr);
    CHECK(fixed.find_module("again") == inner.get());
    CHECK(nn::fqn_to_module(*model, "again") == inner.get());
    CHECK(nn::fqn_to_module(*model, "seq.1") == nullptr);
    CHECK(nn::fqn_to_tensor(*model, "seq.0.weight").is(inner->tensor("weight")));
    CHECK_FALSE(nn::fqn_to_tensor(*model, "seq.0.wait").defined());
    CHECK_FALSE(nn::fqn_to_tensor(*model, "seq.7.weight").defined());
  }

  TEST_CASE("get_arg_info_from_tensor_fqn splits at the last dot") {
    const auto model =
        std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{std::make_shared<nn::Linear>(2, 3)});
    const nn::TensorFqn info = nn::get_arg_info_from_tensor_fqn(*model, "0.weight");
    CHECK(info.module_fqn == "0");
    CHECK(info.module == model->at(0).get());
    CHECK(info.tensor_name == "weight");
    CHECK(info.tensor_fqn == "0.weight");
    const nn::TensorFqn top = nn::get_arg_info_from_tensor_fqn(*model, "weight");
    CHECK(top.module_fqn.empty());
    CHECK(top.module == model.get());
    CHECK(nn::get_arg_info_from_tensor_fqn(*model, "a.b.weight").module == nullptr);
  }

  TEST_CASE("module_contains_param knows parametrizations by their type") {
    nn::Linear m(2, 3);
    CHECK_FALSE(nn::module_contains_param(m, "FakeSparsity"));
    nn::parametrize::register_parametrization(m, "weight", std::make_shared<nn::FakeSparsity>(ones({3, 2})));
    CHECK(nn::module_contains_param(m, "FakeSparsity"));
    CHECK_FALSE(nn::module_contains_param(m, "Linear"));
  }
}
