#include "coppice/sparsity/data/datum.h"

#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/nn.h"

using namespace coppice;
using sparsity::Datum;

TEST_SUITE("sparsity/data/datum") {
  TEST_CASE("a tensor is itself, an embedding its weight") {
    const Tensor t = Tensor::of({1, 2});
    CHECK(Datum(t).tensor().is(t));
    const nn::Embedding embedding(4, 3);
    CHECK(Datum(embedding).tensor().is(embedding.tensor("weight")));
    const auto bag = std::make_shared<nn::EmbeddingBag>(4, 3);
    CHECK(Datum(bag).tensor().is(bag->tensor("weight")));
    CHECK(Datum(std::static_pointer_cast<nn::Module>(bag)).tensor().requires_grad());
  }

  TEST_CASE("nothing else is taken") {
    CHECK_THROWS_AS((void)Datum(Tensor()), TypeError);
    CHECK_THROWS_AS((void)Datum(nn::Linear(3, 2)), TypeError);
    CHECK_THROWS_AS((void)Datum(nn::Sequential()), TypeError);
    CHECK_THROWS_AS((void)Datum(nn::ModulePtr()), TypeError);
  }

  TEST_CASE("a weight that is masked already has no numbers of its own to show") {
    nn::Embedding embedding(4, 3);
    nn::attach_mask(embedding, "weight", ones({4, 3}));
    CHECK_THROWS_AS((void)Datum(embedding), StateError);
    CHECK(Datum(embedding.tensor("weight_orig")).tensor().shape() == Shape{4, 3});
  }
}
