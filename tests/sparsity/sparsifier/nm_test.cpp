#include "coppice/sparsity/sparsifier/nm.h"

#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine/parallel.h"
#include "sparsity/sparsifier/masks.h"

using namespace coppice;
using namespace coppice::sparsity;
using namespace coppice::testing;

namespace {

const double kNan = std::nan("");

Tensor nm(const Tensor& weight, const Pattern& pattern) { return mask_of(NmSparsifier(pattern), weight); }

}  // namespace

TEST_SUITE("sparsity/sparsifier/nm") {
  TEST_CASE("patterns as text") {
    CHECK(Pattern::parse("2:4") == Pattern{});
    CHECK(Pattern::parse("4:8") == Pattern{4, 8});
    CHECK(to_string(Pattern{1, 4}) == "1:4");
    CHECK(Pattern{1, 4}.sparsity() == 0.75);
    for (const char* bad :
         {"", "2", "2:", ":4", "2:4:8", "2/4", "a:4", "2:4 ", "-1:4", "5:4", "0:0", "2:-4", "2:99999999999999999999"}) {
      CAPTURE(bad);
      CHECK_THROWS_AS((void)Pattern::parse(bad), ValueError);
    }
    CHECK_THROWS_AS((void)mask_n_of_m(ones({4}), {3, 2}), ValueError);
    CHECK_THROWS_AS(NmSparsifier(Pattern{3, 2}), ValueError);
  }

  TEST_CASE("mask_n_of_m keeps n of each run, and the later ones of equal entries") {
    CHECK(mask_n_of_m(Tensor::of({4, 3, 2, 1})) == Tensor::of({1, 1, 0, 0}));
    CHECK(mask_n_of_m(ones({4})) == Tensor::of({0, 0, 1, 1}));
    CHECK(mask_n_of_m(Tensor::of({-4, 3, -2, 1}), {1, 4}) == Tensor::of({1, 0, 0, 0}));
    CHECK(mask_n_of_m(Tensor::of({{1, 2}, {3, 4}})) == Tensor::of({{0, 0}, {1, 1}}));  // of the flattened tensor
    CHECK(mask_n_of_m(Tensor::of({1, kNan, 9, HUGE_VAL}), {1, 4}) == Tensor::of({0, 1, 0, 0}));
    CHECK(mask_n_of_m(ones({4}), {0, 2}) == zeros({4}));
    CHECK(mask_n_of_m(ones({4}), {2, 2}) == ones({4}));
    CHECK(mask_n_of_m(ones({0, 3})) == ones({0, 3}));
    for (const Dtype type : {Dtype::f64, Dtype::f16, Dtype::i8})
      CHECK(mask_n_of_m(Tensor::of({4, 3, 2, 1}).to(type)) == Tensor::of({1, 1, 0, 0}).to(type));
    CHECK_THROWS_AS((void)mask_n_of_m(ones({6})), ValueError);
  }

  TEST_CASE("ties follow the rule of the call, of the sparsifier, or of the scope") {
    const Tensor even = ones({1, 32});
    const Tensor lowest = cat({zeros({1, 16}), ones({1, 16})}, 1);
    CHECK(mask_n_of_m(even, {16, 32}, TieRule::lowest_index) == lowest);
    const Tensor torch = mask_n_of_m(even, {16, 32}, TieRule::pytorch);
    CHECK(count_nonzero(torch) == 16);
    CHECK_FALSE(torch == lowest);
    CHECK(mask_of(NmSparsifier({16, 32}, TieRule::pytorch), even) == torch);
    CHECK(mask_n_of_m(ones({16}), {8, 16}, TieRule::pytorch) == mask_n_of_m(ones({16}), {8, 16}));
    const TieRuleScope scope(TieRule::pytorch);
    CHECK(mask_n_of_m(even, {16, 32}) == torch);
    CHECK(mask_of(NmSparsifier({16, 32}), even) == torch);
  }

  TEST_CASE("4x4 tiles: at most two of four in both directions") {
    const Tensor seven = Tensor::of({{2, -1, -2, -3}, {-1, 8, -1, 6}, {-1, -1, 4, 5}, {-1, 3, 7, -1}});
    const Tensor mask = Tensor::of({{1, 0, 0, 0}, {0, 1, 0, 1}, {0, 0, 1, 1}, {0, 1, 1, 0}});
    CHECK(mask_two_of_four_tiles(seven) == mask);
    CHECK(mask_two_of_four_tiles(seven, false) == mask);
    CHECK(mask_two_of_four_tiles(Tensor::of({{9, 1, 7, 4}, {1, 2, 3, 0}, {8, 3, 5, 4}, {1, 2, 6, 2}})) ==
          Tensor::of({{1, 0, 1, 0}, {0, 1, 0, 1}, {1, 0, 0, 1}, {0, 1, 1, 0}}));
    CHECK(mask_two_of_four_tiles(Tensor::of({{4, 3, 2, 1}, {-1, -3, .6, .5}, {1, 2, 3, 4}, {10, 2, -1, 5}})) ==
          Tensor::of({{1, 1, 0, 0}, {0, 1, 1, 0}, {0, 0, 1, 1}, {1, 0, 0, 1}}));
    const Tensor wide = cat({cat({seven, seven}, 1), cat({zeros({4, 4}), seven}, 1)});
    const Tensor many = mask_two_of_four_tiles(wide.to(Dtype::f64));
    CHECK(many.dtype() == Dtype::f64);
    CHECK(narrow(narrow(many, 0, 0, 4), 1, 4, 4).to(Dtype::f32) == mask);
    CHECK(narrow(narrow(many, 0, 4, 4), 1, 4, 4).to(Dtype::f32) == mask);
    CHECK(count_nonzero(narrow(narrow(many, 0, 4, 4), 1, 0, 4)) == 8);
    CHECK(mask_two_of_four_tiles(ones({0, 4})).numel() == 0);
    CHECK_THROWS_AS((void)mask_two_of_four_tiles(ones({4, 6})), ShapeError);
    CHECK_THROWS_AS((void)mask_two_of_four_tiles(ones({6, 4})), ShapeError);
    CHECK_THROWS_AS((void)mask_two_of_four_tiles(ones({4, 4, 4})), ShapeError);
  }

  TEST_CASE("the sparsifier prunes rows in any pattern") {
    const Tensor w = Tensor::of({{-4, 3, -2, 1, 5, 6, 7, 8}, {1, -2, 3, -4, 8, 7, 6, 5}});
    CHECK(nm(w, {}) == Tensor::of({{1, 1, 0, 0, 0, 0, 1, 1}, {0, 0, 1, 1, 1, 1, 0, 0}}));
    CHECK(nm(w, {1, 4}) == Tensor::of({{1, 0, 0, 0, 0, 0, 0, 1}, {0, 0, 0, 1, 1, 0, 0, 0}}));
    CHECK(nm(w, {4, 8}) == Tensor::of({{0, 0, 0, 0, 1, 1, 1, 1}, {0, 0, 0, 0, 1, 1, 1, 1}}));
    CHECK(nm(w, {4, 4}) == ones({2, 8}));
    CHECK(mask_of(NmSparsifier(), w, {{"pattern", std::string("0:2")}}) == zeros({2, 8}));
  }

  TEST_CASE("masks are sticky unless dense weights are ranked") {
    for (const bool dense : {false, true}) {
      Prepared<NmSparsifier> p(NmSparsifier(), Tensor::of({{4, 3, 2, 1}}), {{"score_dense", dense}});
      CHECK(p.step() == Tensor::of({{1, 1, 0, 0}}));
      const NoGrad guard;
      p.sparsifier.groups()[0].original().copy_(Tensor::of({{1, 2, 3, 4}}));
      CHECK(p.step() == (dense ? Tensor::of({{0, 0, 1, 1}}) : Tensor::of({{1, 1, 0, 0}})));
    }
  }

  TEST_CASE("a level below 1: that share of the runs, those of least mean first") {
    const Tensor w = Tensor::of({{4, 3, 2, 1, 9, 8, 7, 6}, {1, 1, 2, 2, 5, 6, 5, 6}});
    const auto at = [&](double level) { return mask_of(NmSparsifier(), w, {{"sparsity_level", level}}); };
    CHECK(at(0) == ones({2, 8}));
    CHECK(at(-0.5) == ones({2, 8}));
    CHECK(at(0.25) == Tensor::of({{1, 1, 1, 1, 1, 1, 1, 1}, {0, 0, 1, 1, 1, 1, 1, 1}}));
    CHECK(at(0.5) == Tensor::of({{1, 1, 0, 0, 1, 1, 1, 1}, {0, 0, 1, 1, 1, 1, 1, 1}}));
    CHECK(at(1) == nm(w, {2, 4}));
    CHECK(at(7) == nm(w, {2, 4}));
    CHECK_THROWS_AS(at(kNan), ValueError);
  }

  TEST_CASE("bad patterns and rows that m does not divide are refused with nothing changed") {
    CHECK_THROWS_AS(Prepared<NmSparsifier>(NmSparsifier(), ones({2, 4}), {{"pattern", std::string("4:2")}}),
                    ValueError);
    CHECK_THROWS_AS(Prepared<NmSparsifier>(NmSparsifier(), ones({2, 4}), {{"pattern", 0.5}}), TypeError);
    Prepared<NmSparsifier> p(NmSparsifier(), ones({2, 6}));  // 12 elements, but rows of 6
    CHECK_THROWS_AS(p.sparsifier.step(), ShapeError);
    CHECK(p.mask() == ones({2, 6}));
  }

  TEST_CASE("equal masks for 1, 2 and 7 threads") {
    Generator g(3);
    const Tensor w = randint(-5, 6, {512, 256}, Dtype::i64, &g).to(Dtype::f32);
    const int before = num_threads();
    std::vector<Tensor> masks, tiles;
    for (const int threads : {1, 2, 7}) {
      set_num_threads(threads);
      masks.push_back(nm(w, {3, 8}));
      tiles.push_back(mask_two_of_four_tiles(w));
    }
    set_num_threads(before);
    CHECK(count_nonzero(masks[0]) == 512 * 256 / 8 * 3);
    for (std::size_t i : {1u, 2u}) {
      CHECK(masks[i] == masks[0]);
      CHECK(tiles[i] == tiles[0]);
    }
  }
}
