// The table of sparsifiers by name: each row makes the masks of its class.
#include "coppice/sparsity/sparsifier/kinds.h"

#include <doctest/doctest.h>

#include <cmath>
#include <set>

#include "coppice/engine/create.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/engine/random.h"
#include "coppice/sparsity/data/data_norm_sparsifier.h"
#include "coppice/sparsity/sparsifier/nearly_diagonal.h"
#include "coppice/sparsity/sparsifier/nm.h"
#include "coppice/sparsity/sparsifier/weight_norm.h"
#include "sparsity/sparsifier/models.h"

using namespace coppice;
using namespace coppice::sparsity;

namespace {

Tensor normal(const Shape& shape, std::uint64_t seed = 1) {
  Generator generator(seed);
  return randn(shape, Dtype::f32, &generator);
}

/// The mask that a sparsifier of layers gives a tensor, as zeros and ones.
template <class Sparsifier>
Tensor by(Sparsifier sparsifier, const Tensor& values) {
  const auto holder = std::make_shared<nn::Identity>();
  holder->register_parameter("w", values.clone());
  sparsifier.prepare(holder, {{{"tensor_fqn", std::string("w")}}});
  sparsifier.step();
  return sparsifier.groups()[0].mask().to(Dtype::f32);
}

Tensor by(DataNormSparsifier sparsifier, const Tensor& values) {
  sparsifier.add_data("w", values);
  sparsifier.step();
  return sparsifier.get_mask("w").to(Dtype::f32);
}

Tensor made(std::string_view name, const Arguments& set, const Tensor& values, TieRule ties = TieRule::lowest_index) {
  const SparsifierKind& kind = sparsifier_kind(name);
  return kind.make(settings_of(kind, set), ties)(values).to(Dtype::f32);
}

const std::vector<std::int64_t> kTall{4, 1}, kSquare{2, 2};

}  // namespace

TEST_SUITE("sparsity/sparsifier/kinds") {
  TEST_CASE("every row has a name of its own and makes masks with its defaults") {
    std::set<std::string> names;
    for (const SparsifierKind& kind : sparsifier_kinds()) {
      CAPTURE(kind.name);
      CHECK(names.insert(kind.name).second);
      CHECK(&sparsifier_kind(kind.name) == &kind);
      const Tensor mask = made(kind.name, {}, normal({8, 8}));
      CHECK(mask.shape() == Shape{8, 8});
      const std::int64_t kept = count_nonzero(mask);
      CHECK((kept == 32 || kept == 8));
      CHECK(mask == mask.to(Dtype::boolean).to(Dtype::f32));
    }
    CHECK_THROWS_AS((void)sparsifier_kind("weightnorm"), KeyError);
    CHECK_THROWS_WITH((void)sparsifier_kind(""),
                      "[sparsifier_kind] no sparsifier ''; there are weight_norm, nearly_diagonal, data_norm, nm");
  }

  TEST_CASE("masks are those of the classes, of matrices that blocks do not divide too") {
    for (const Shape& shape : {Shape{8, 12}, Shape{7, 10}, Shape{3, 5}}) {
      const Tensor w = normal(shape);
      CHECK(made("weight_norm", {}, w) == by(WeightNormSparsifier(), w));
      CHECK(made("weight_norm", {{"sparse_block_shape", kTall}, {"sparsity_level", 0.8}, {"norm", "l1"}}, w) ==
            by(WeightNormSparsifier(0.8, {4, 1}, std::nullopt, 1), w));
      CHECK(made("weight_norm", {{"sparse_block_shape", kSquare}, {"zeros_per_block", std::int64_t{3}}}, w) ==
            by(WeightNormSparsifier(0.5, {2, 2}, 3), w));
      CHECK(made("nearly_diagonal", {{"nearliness", std::int64_t{3}}}, w) == by(NearlyDiagonalSparsifier(3), w));
      CHECK(made("data_norm", {}, w) == by(DataNormSparsifier(), w));
      CHECK(made("data_norm", {{"sparse_block_shape", kSquare}, {"zeros_per_block", std::int64_t{1}}, {"norm", "l2"}},
                 w) == by(DataNormSparsifier({.sparse_block_shape = {2, 2}, .zeros_per_block = 1, .norm = "L2"}), w));
    }
    const Tensor w = normal({6, 8});
    CHECK(made("nm", {{"pattern", "1:4"}}, w) == by(NmSparsifier({1, 4}), w));
  }

  TEST_CASE("more than two axes are seen as [first, all others]") {
    const Tensor w = normal({6, 2, 3, 4});
    for (const char* name : {"weight_norm", "data_norm", "nm"}) {
      CAPTURE(name);
      CHECK(made(name, {}, w) == made(name, {}, w.reshape({6, 24})).reshape(w.shape()));
    }
    CHECK(made("data_norm", {}, zeros({0, 2, 3})).numel() == 0);
    CHECK_THROWS_AS((void)made("nearly_diagonal", {}, w), ShapeError);
  }

  TEST_CASE("the rule of ties reaches those that have one") {
    const Tensor same = ones({8, 8});
    CHECK(made("weight_norm", {{"sparse_block_shape", std::vector<std::int64_t>{1, 1}}}, same) !=
          made("weight_norm", {{"sparse_block_shape", std::vector<std::int64_t>{1, 1}}}, same, TieRule::pytorch));
    CHECK(sparsifier_kind("nm").has_ties);
    CHECK_FALSE(sparsifier_kind("data_norm").has_ties);
  }

  TEST_CASE("settings_of completes what was set, and finds what no tensor can be pruned by") {
    const auto settings = [](const char* name, const Arguments& set) {
      return settings_of(sparsifier_kind(name), set);
    };
    CHECK(settings("weight_norm", {{"sparse_block_shape", kTall}}) == Arguments{{"sparsity_level", 0.5},
                                                                                {"sparse_block_shape", kTall},
                                                                                {"zeros_per_block", std::int64_t{4}},
                                                                                {"norm", "l2"}});
    for (const char* name : {"weight_norm", "data_norm"}) {
      CAPTURE(name);
      CHECK_THROWS_AS((void)settings(name, {{"sparsity_level", std::nan("")}}), ValueError);
      CHECK_THROWS_AS((void)settings(name, {{"sparsity_level", "half"}}), TypeError);
      CHECK_THROWS_AS((void)settings(name, {{"sparse_block_shape", std::vector<std::int64_t>{0, 4}}}), ValueError);
      CHECK_THROWS_AS((void)settings(name, {{"sparse_block_shape", std::vector<std::int64_t>{4}}}), ValueError);
      CHECK_THROWS_AS((void)settings(name, {{"zeros_per_block", std::int64_t{5}}}), ValueError);
      CHECK_THROWS_AS((void)settings(name, {{"zeros_per_block", std::int64_t{-1}}}), ValueError);
      CHECK_THROWS_AS((void)settings(name, {{"norm", "l3"}}), ValueError);
      CHECK_THROWS_AS((void)settings(name, {{"pattern", "2:4"}}), KeyError);
    }
    CHECK_THROWS_AS((void)settings("nearly_diagonal", {{"nearliness", std::int64_t{2}}}), ValueError);
    CHECK_THROWS_AS((void)settings("nm", {{"pattern", "5:4"}}), ValueError);
    CHECK_THROWS_AS((void)settings("nm", {{"sparsity_level", 0.5}}), KeyError);
  }

  TEST_CASE("an error about a tensor does not name the one within the table") {
    CHECK_THROWS_WITH_AS((void)made("nm", {}, normal({4, 6})), "[NmSparsifier] 2:4 does not divide rows of 6 entries",
                         ShapeError);
    CHECK_THROWS_AS((void)made("weight_norm", {}, normal({4})), ShapeError);
    CHECK_THROWS_AS((void)made("nearly_diagonal", {{"nearliness", std::int64_t{9}}}, normal({4, 6})), ValueError);
  }
}
