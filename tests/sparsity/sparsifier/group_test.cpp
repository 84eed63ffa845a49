#include "coppice/sparsity/sparsifier/group.h"

#include <doctest/doctest.h>

#include "nn/scale.h"
#include "sparsity/sparsifier/models.h"

using namespace coppice;
using namespace coppice::nn::parametrize;
using sparsity::Group;

namespace {

const Tensor kWeight = Tensor::of({{1, 2}, {3, 4}});
const Tensor kMask = Tensor::of({{1, 0}, {0, 1}}).to(Dtype::boolean);

Group group_of(const nn::ModulePtr& model) {
  return Group(nn::get_arg_info_from_tensor_fqn(*model, "0.weight"), {{"sparsity_level", 0.5}});
}

}  // namespace

TEST_SUITE("sparsity/sparsifier/group") {
  TEST_CASE("a group names its tensor and shows it with and without its mask") {
    const nn::ModulePtr model = testing::linear_of(kWeight);
    Group group = group_of(model);
    CHECK(group.tensor_fqn() == "0.weight");
    CHECK(group.module_fqn() == "0");
    CHECK(group.tensor_name() == "weight");
    CHECK(&group.module() == model->find_module("0"));
    CHECK(group.config.number("sparsity_level") == 0.5);
    CHECK_FALSE(group.attached());
    CHECK(group.original() == kWeight);
    CHECK_THROWS_AS((void)group.mask(), StateError);

    group.attach(kMask);
    CHECK(group.attached());
    CHECK(group.masked_only());
    CHECK(group.mask().is(kMask));
    CHECK(group.weight() == Tensor::of({{1, 0}, {0, 4}}));
    CHECK(group.original() == kWeight);
    group.release();
    CHECK_FALSE(group.attached());
    CHECK(group.weight() == kWeight);
    CHECK_FALSE(is_parametrized(*model->find_module("0")));
  }

  TEST_CASE("adopt takes the mask that stands on the tensor, and no other parametrization") {
    const nn::ModulePtr model = testing::linear_of(kWeight);
    Group first = group_of(model), second = group_of(model);
    CHECK_FALSE(second.adopt());
    register_parametrization(*model->find_module("0"), "weight", std::make_shared<test::Scale>(2));
    CHECK_FALSE(second.adopt());
    first.attach(kMask);
    REQUIRE(second.adopt());
    CHECK(second.mask().is(kMask));
    CHECK_FALSE(second.masked_only());
  }

  TEST_CASE("beside other parametrizations a released mask stays, all ones") {
    const nn::ModulePtr model = testing::linear_of(kWeight);
    register_parametrization(*model->find_module("0"), "weight", std::make_shared<test::Scale>(2));
    Group group = group_of(model);
    group.attach(kMask.clone());
    CHECK(group.weight() == Tensor::of({{2, 0}, {0, 8}}));
    CHECK(group.original() == kWeight);
    group.release();
    CHECK(group.attached());
    CHECK(group.weight() == Tensor::of({{2, 4}, {6, 8}}));
  }

  TEST_CASE("a module that is not there is a KeyError") {
    const nn::ModulePtr model = testing::linear_of(kWeight);
    CHECK_THROWS_AS(Group(nn::get_arg_info_from_tensor_fqn(*model, "1.weight"), {}), KeyError);
  }
}
