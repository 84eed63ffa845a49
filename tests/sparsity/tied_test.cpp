#include "coppice/sparsity/tied.h"

#include <doctest/doctest.h>

#include "coppice/engine/create.h"
#include "coppice/engine/error.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/nn/layers/container.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/nn/masks/masked.h"
#include "coppice/nn/slots.h"
#include "coppice/sparsity/prune/prune.h"

using namespace coppice;
using namespace coppice::sparsity;

namespace {

using Names = std::vector<std::string>;

std::vector<Names> groups_of(const std::vector<Prunable>& all) {
  std::vector<Names> out;
  for (const auto& group : tied_groups(all)) {
    out.emplace_back();
    for (const Prunable& p : group) out.back().push_back(p.name);
  }
  return out;
}

std::vector<Names> groups_of(const NamedTensors& tensors) { return groups_of(PrunableTensors(tensors, "file").all()); }

const Tensor kWeight = Tensor::of({{1, 2}, {3, 4}});

}  // namespace

TEST_SUITE("sparsity/tied") {
  TEST_CASE("tensors of one memory, shape and type are one group, in the order of the file") {
    const Tensor other = ones({2, 2});
    CHECK(groups_of({{"a", kWeight},
                     {"b", other},
                     {"c", kWeight.detach()},
                     {"d", other.detach()},
                     {"e", kWeight.clone()},
                     {"f", kWeight.reshape(Shape{4})},
                     {"g", kWeight.detach()}}) == std::vector<Names>{{"a", "c", "g"}, {"b", "d"}});
    CHECK(groups_of({{"a", kWeight}}).empty());
    CHECK(groups_of({{"a", zeros({0, 2})}, {"b", zeros({0, 2})}}).empty());
    CHECK(groups_of(NamedTensors()).empty());
  }

  TEST_CASE("masks that are equal leave it one tensor, others make two of it") {
    const Tensor mask = Tensor::of({{1, 0}, {1, 1}}), full = ones({2, 2});
    const auto groups = [&](const Tensor& a, const Tensor& b) {
      NamedTensors tensors{{"a_orig", kWeight}, {"b_orig", kWeight.detach()}};
      if (a.defined()) tensors.add("a_mask", a);
      if (b.defined()) tensors.add("b_mask", b);
      return groups_of(tensors);
    };
    CHECK(groups(mask, mask.clone()) == std::vector<Names>{{"a", "b"}});
    CHECK(groups(mask, full).empty());
    CHECK(groups(mask, Tensor()).empty());
  }

  TEST_CASE("parameters of a model that are one tensor are found, and get one mask") {
    nn::Sequential model{std::make_shared<nn::Linear>(2, 2), std::make_shared<nn::Linear>(2, 2, false)};
    model.at(1)->slots().replace_parameter("weight", model.at(0)->tensor("weight"));
    CHECK(groups_of(prunables_of(model)) == std::vector<Names>{{"0.weight", "1.weight"}});
    const auto group = tied_groups(prunables_of(model)).at(0);
    CHECK(memory_of(group[0]) == memory_of(group[1]));
    share_mask(group);
    CHECK_FALSE(nn::is_masked(*model.at(1), "weight"));  // there is none to give
    prune::l1_unstructured(*model.at(0), "weight", 3);
    share_mask(group);
    CHECK(model.at(1)->tensor("weight_mask").shares_storage(model.at(0)->tensor("weight_mask")));
    CHECK(model.at(1)->tensor("weight") == model.at(0)->tensor("weight"));
    CHECK(nn::mask_origin(*model.at(1), "weight") == nn::mask_origin(*model.at(0), "weight"));
    CHECK(memory_of(group[0]) == memory_of(group[1]));
    CHECK(groups_of(prunables_of(model)) == std::vector<Names>{{"0.weight", "1.weight"}});
  }

  TEST_CASE("what burning in has parted is tied again, and which tensor is which stays") {
    nn::Sequential model{std::make_shared<nn::Linear>(2, 2), std::make_shared<nn::Linear>(2, 2, false)};
    model.at(1)->slots().replace_parameter("weight", model.at(0)->tensor("weight").detach());
    const Tensor second = model.at(1)->tensor("weight");
    const auto group = tied_groups(prunables_of(model)).at(0);
    prune::l1_unstructured(*model.at(0), "weight", 3);
    share_mask(group);
    for (const Prunable& p : group) nn::burn_in_mask(*p.module, p.slot);
    CHECK(memory_of(group[0]) != memory_of(group[1]));
    tie(group);
    CHECK(memory_of(group[0]) == memory_of(group[1]));
    CHECK(model.at(1)->tensor("weight").is(second));
    CHECK(count_nonzero(second) == 1);
    tie(group);
    CHECK(second == model.at(0)->tensor("weight"));
  }

  TEST_CASE("a name that a mask needs and that is taken is a KeyError") {
    nn::Sequential model{std::make_shared<nn::Linear>(2, 2), std::make_shared<nn::Linear>(2, 2, false)};
    model.at(1)->slots().replace_parameter("weight", model.at(0)->tensor("weight"));
    model.at(1)->register_buffer("weight_mask", ones({1}));
    const auto group = tied_groups(prunables_of(model)).at(0);
    prune::l1_unstructured(*model.at(0), "weight", 1);
    CHECK_THROWS_AS(share_mask(group), KeyError);
    CHECK(model.at(1)->own_parameters().find("weight") != nullptr);
  }
}
