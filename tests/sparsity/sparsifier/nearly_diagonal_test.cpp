#include "coppice/sparsity/sparsifier/nearly_diagonal.h"

#include <doctest/doctest.h>

#include "sparsity/sparsifier/masks.h"

using namespace coppice;
using namespace coppice::sparsity;
using namespace coppice::testing;

namespace {

Tensor band(std::int64_t rows, std::int64_t cols, std::int64_t nearliness) {
  return mask_of(NearlyDiagonalSparsifier(nearliness), ones({rows, cols}));
}

}  // namespace

TEST_SUITE("sparsity/sparsifier/nearly_diagonal") {
  TEST_CASE("a band around the diagonal, in matrices of any form") {
    CHECK(band(2, 5, 3) == Tensor::of({{1, 1, 0, 0, 0}, {1, 1, 1, 0, 0}}));
    CHECK(band(5, 2, 3) == Tensor::of({{1, 1}, {1, 1}, {0, 1}, {0, 0}, {0, 0}}));
    CHECK(band(3, 5, 5) == Tensor::of({{1, 1, 1, 0, 0}, {1, 1, 1, 1, 0}, {1, 1, 1, 1, 1}}));
    CHECK(band(4, 4, 7) == ones({4, 4}));
    CHECK(band(4, 4, 1) == eye(4));
    CHECK(band(9, 2, 1) == cat({eye(2), zeros({7, 2})}));
    CHECK(band(4, 4, 0) == zeros({4, 4}));
    CHECK(band(4, 4, -2) == zeros({4, 4}));
  }

  TEST_CASE("the mask given keeps its type, and earlier masks do not matter") {
    Prepared<NearlyDiagonalSparsifier> p(NearlyDiagonalSparsifier(1), ones({3, 3}), {{"mask", zeros({3, 3})}});
    CHECK(p.step() == eye(3));
    CHECK(p.sparsifier.groups()[0].mask().dtype() == Dtype::f32);
  }

  TEST_CASE("a width that does not fit is refused at the step, and leaves every mask as it was") {
    CHECK_THROWS_AS(NearlyDiagonalSparsifier(2), ValueError);
    const nn::ModulePtr model = simple_linear();
    NearlyDiagonalSparsifier s;
    s.prepare(model, {at("linear1.weight"), at("linear2.weight", {{"nearliness", std::int64_t{9}}})});
    CHECK_THROWS_AS(s.step(), ValueError);  // 10x4 takes 7 at most
    CHECK(s.groups()[0].mask() == ones({4, 4}, Dtype::boolean));
    CHECK(s.groups()[1].mask() == ones({10, 4}, Dtype::boolean));
    s.groups()[1].config.set("nearliness", std::int64_t{4});
    CHECK_THROWS_AS(s.step(), ValueError);
    CHECK(s.groups()[0].mask() == ones({4, 4}, Dtype::boolean));
    s.groups()[1].config.set("nearliness", INT64_MAX);
    CHECK_THROWS_AS(s.step(), ValueError);
    s.groups()[1].config.set("nearliness", std::int64_t{7});
    s.step();
    CHECK(s.groups()[0].mask().to(Dtype::f32) == eye(4));
  }

  TEST_CASE("other than two axes, and settings of another kind") {
    const auto layer = std::make_shared<nn::Linear>(4, 4);
    NearlyDiagonalSparsifier s;
    s.prepare(layer, {at("bias")});
    CHECK_THROWS_AS(s.step(), ShapeError);
    s.groups()[0].config.set("nearliness", std::int64_t{0});
    s.step();
    CHECK(count_nonzero(s.groups()[0].mask()) == 0);
    CHECK_THROWS_AS(s.prepare(layer, {at("weight", {{"nearliness", 1.5}})}), TypeError);
  }
}
