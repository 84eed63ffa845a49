#include "coppice/nn/arguments.h"

#include <doctest/doctest.h>

#include "coppice/engine/error.h"

using namespace coppice;
using nn::KeptArguments;

TEST_SUITE("nn/arguments") {
  TEST_CASE("a copy of kept arguments has tensors of its own, also when assigned; a moved one keeps them") {
    const Tensor t = Tensor::of({1, 2});
    const KeptArguments kept{nn::Arguments{{"t", t}, {"n", 0.5}}};
    CHECK(kept->tensor("t").is(t));
    const KeptArguments copy = kept;
    CHECK(*copy == *kept);
    CHECK_FALSE(copy->tensor("t").shares_storage(t));
    KeptArguments assigned;
    CHECK(assigned->empty());
    assigned = kept;
    CHECK_FALSE(assigned->tensor("t").shares_storage(t));
    const Tensor own = assigned->tensor("t");
    const KeptArguments moved = std::move(assigned);
    CHECK(moved->tensor("t").is(own));
  }
}
