#include "coppice/sparsity/drawn.h"

#include <doctest/doctest.h>

#include "coppice/engine/create.h"
#include "coppice/engine/error.h"

using namespace coppice;
using sparsity::drawn;

TEST_SUITE("sparsity/drawn") {
  TEST_CASE("a line for each row, whatever the type") {
    const Tensor mask = Tensor::of({{1, 0, 1}, {0, 0, 0.5}});
    CHECK(drawn(mask) == "#.#\n..#\n");
    CHECK(drawn(Tensor::of({{1, 0, 1}, {0, 0, 1}}).to(Dtype::boolean)) == "#.#\n..#\n");
    CHECK(drawn(Tensor::of({{1, 0, 1}, {0, 0, 1}}).to(Dtype::i8)) == "#.#\n..#\n");
    CHECK(drawn(Tensor::of({{1, 0, 1}, {0, 0, 1}}).to(Dtype::bf16)) == "#.#\n..#\n");
  }

  TEST_CASE("more axes are seen as [first, all others], fewer as one row") {
    CHECK(drawn(ones({2, 2, 2})) == "####\n####\n");
    CHECK(drawn(Tensor::of({1, 0})) == "#.\n");
    CHECK(drawn(zeros({})) == ".\n");
    CHECK(drawn(ones({0, 4})).empty());
    CHECK(drawn(ones({2, 0})) == "\n\n");
    CHECK_THROWS_AS((void)drawn(Tensor()), StateError);
  }
}
