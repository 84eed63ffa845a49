#include "coppice/sparsity/sparsifier/weight_norm.h"

#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine/parallel.h"
#include "sparsity/sparsifier/masks.h"

using namespace coppice;
using namespace coppice::sparsity;
using namespace coppice::testing;

namespace {

using Norm = WeightNormSparsifier;
constexpr TieRule kPytorch = TieRule::pytorch;
const double kNan = std::nan("");

Tensor signed_values(const Tensor& t) { return t; }

}  // namespace

TEST_SUITE("sparsity/sparsifier/weight_norm") {
  TEST_CASE("the share of smallest blocks goes, entry by entry or block by block") {
    CHECK(mask_of(Norm(0.375, {1, 1}, 1), Tensor::of({{8, 1, 6, 3}, {2, 7, 4, 5}})) ==
          Tensor::of({{1, 0, 1, 0}, {0, 1, 1, 1}}));
    CHECK(mask_of(Norm(0.5), Tensor::of({{1, 2, 3, 4, 5, 6, 7, 8}, {8, 7, 6, 5, 4, 3, 2, 1}})) ==
          Tensor::of({{0, 0, 0, 0, 1, 1, 1, 1}, {1, 1, 1, 1, 0, 0, 0, 0}}));
    CHECK(mask_of(Norm(0.5, {2, 2}), Tensor::of({{1, 2, 9, 9}, {3, 4, 9, 9}, {5, 5, 2, 2}, {5, 5, 2, 2}})) ==
          Tensor::of({{0, 0, 1, 1}, {0, 0, 1, 1}, {1, 1, 0, 0}, {1, 1, 0, 0}}));
    CHECK(mask_of(Norm(0.25, {4, 1}), Tensor::of({{1, 9, 2, 8}, {1, 9, 2, 8}, {1, 9, 2, 8}, {1, 9, 2, 8}})) ==
          Tensor::of({{0, 1, 1, 1}, {0, 1, 1, 1}, {0, 1, 1, 1}, {0, 1, 1, 1}}));
  }

  TEST_CASE("zeros per block: the smallest entries of the chosen blocks") {
    CHECK(mask_of(Norm(1, {1, 4}, 2), Tensor::of({{-4, 3, -2, 1}, {1, -2, 3, -4}})) ==
          Tensor::of({{1, 1, 0, 0}, {0, 0, 1, 1}}));
    CHECK(mask_of(Norm(0.5, {1, 4}, 2), Tensor::of({{4, 3, 2, 1, 9, 8, 7, 6}})) ==
          Tensor::of({{1, 1, 0, 0, 1, 1, 1, 1}}));
    const Tensor two = Tensor::of({{1, 2, 3, 4}, {5, 6, 7, 8}});
    CHECK(mask_of(Norm(1, {2, 2}, 1), two) == Tensor::of({{0, 1, 0, 1}, {1, 1, 1, 1}}));
    CHECK(mask_of(Norm(0.5, {2, 2}, 2), two) == Tensor::of({{0, 0, 1, 1}, {1, 1, 1, 1}}));
  }

  TEST_CASE("L2 is the mean of squares, L1 that of magnitudes, a function's that of signed values") {
    const Tensor w = Tensor::of({{3, 0, 2, 2}}), s = Tensor::of({{-3, 1, 2, -2}});
    CHECK(mask_of(Norm(0.5, {1, 2}), w) == Tensor::of({{1, 1, 0, 0}}));
    CHECK(mask_of(Norm(0.5, {1, 2}, 2, 1), w) == Tensor::of({{0, 0, 1, 1}}));
    CHECK(mask_of(Norm(0.5, {1, 1}, 1, 2, kPytorch), s) == Tensor::of({{1, 0, 1, 0}}));
    CHECK(mask_of(Norm(0.5, {1, 1}, 1, 2), s) == Tensor::of({{1, 0, 0, 1}}));
    CHECK(mask_of(Norm(0.5, {1, 1}, 1, ScoreNorm(signed_values)), s) == Tensor::of({{0, 1, 1, 0}}));
  }

  TEST_CASE("blocks that do not divide the tensor") {
    CHECK(mask_of(Norm(0.5), Tensor::of({{1.5, 1.5, 1.5, 1.5, 2, 1}})) == Tensor::of({{0, 0, 0, 0, 1, 1}}));
    CHECK(mask_of(Norm(0.5, {2, 2}), Tensor::of({{2, 2}, {2, 2}, {1, 2}})) == Tensor::of({{1, 1}, {1, 1}, {0, 0}}));
    CHECK(mask_of(Norm(0.5, {2, 2}), Tensor::of({{1, 2, 3, 4}, {5, 6, 7, 8}, {2, 2, 9, 9}})) ==
          Tensor::of({{0, 0, 1, 1}, {0, 0, 1, 1}, {0, 0, 1, 1}}));
    SUBCASE("some zeros of each: cells outside the tensor rank last, but are there to be taken") {
      for (const TieRule ties : {TieRule::lowest_index, kPytorch}) {
        CHECK(mask_of(Norm(1, {1, 4}, 3, 2, ties), Tensor::of({{4, 3, 2, 1, 9, 8}})) ==
              Tensor::of({{1, 0, 0, 0, 0, 0}}));
        CHECK(mask_of(Norm(1, {1, 4}, 1, 2, ties), Tensor::of({{4, 3, 2, 1, 9, 8}})) ==
              Tensor::of({{1, 1, 1, 0, 1, 0}}));
        CHECK(mask_of(Norm(1, {2, 2}, 2, 2, ties), Tensor::of({{1, 2, 5}, {3, 4, 6}, {7, 8, 9}})) ==
              Tensor::of({{0, 0, 0}, {1, 1, 0}, {0, 0, 0}}));
        CHECK(mask_of(Norm(0.5, {1, 4}, 1, 2, ties), Tensor::of({{4, 3, 2, 1, 1, 2}})) ==
              Tensor::of({{1, 1, 1, 1, 0, 1}}));
      }
    }
    SUBCASE("one block that is larger than the tensor is kept below level 1") {
      CHECK(mask_of(Norm(0.9, {4, 8}), Tensor::of({{1, 2}})) == ones({1, 2}));
      CHECK(mask_of(Norm(1, {4, 8}), Tensor::of({{1, 2}})) == zeros({1, 2}));
      CHECK(mask_of(Norm(1, {4, 8}, 1), Tensor::of({{1, 2}})) == Tensor::of({{0, 1}}));
    }
  }

  TEST_CASE("the number of blocks is rounded half to even, and one block is kept below level 1") {
    const Tensor five = Tensor::of({{1, 2, 3, 4, 5}}), three = Tensor::of({{1, 2, 3}});
    CHECK(mask_of(Norm(0.5, {1, 1}), five) == Tensor::of({{0, 0, 1, 1, 1}}));  // 2.5
    CHECK(mask_of(Norm(0.5, {1, 1}), three) == Tensor::of({{0, 0, 1}}));       // 1.5
    CHECK(mask_of(Norm(0.5, {1, 1}), ones({1, 1})) == ones({1, 1}));           // 0.5
    CHECK(mask_of(Norm(0.99, {1, 1}), Tensor::of({{4, 3}, {2, 1}})) == Tensor::of({{1, 0}, {0, 0}}));
    CHECK(mask_of(Norm(0.1, {1, 1}), Tensor::of({{4, 3}, {2, 1}})) == ones({2, 2}));
    CHECK(mask_of(Norm(0.5, {1, 1}), Tensor::of({{1, 1}, {9, 9}})) == Tensor::of({{0, 0}, {1, 1}}));  // not per row
  }

  TEST_CASE("levels outside 0..1 mean none and all; no zeros per block means none") {
    const Tensor w = Tensor::of({{1, 2, 3, 4}});
    for (const double level : {-HUGE_VAL, -1.0, 0.0}) CHECK(mask_of(Norm(level), w) == ones({1, 4}));
    for (const double level : {1.0, 5.0, HUGE_VAL}) CHECK(mask_of(Norm(level), w) == zeros({1, 4}));
    CHECK(mask_of(Norm(1, {1, 4}, 0), w) == ones({1, 4}));
    CHECK(mask_of(Norm(3, {1, 4}, 1), w) == Tensor::of({{0, 1, 1, 1}}));
  }

  TEST_CASE("ties: the lower block and the lower entry, or those of topk") {
    const Tensor even = ones({4, 4}), wide = ones({4, 8});
    const auto half = [](Tensor like, bool first) {
      Tensor out = zeros(like.shape());
      narrow(out, 0, first ? 0 : 2, 2).fill_(1);
      return out;
    };
    for (const bool torch : {false, true}) {
      const TieRule ties = torch ? kPytorch : TieRule::lowest_index;
      CHECK(mask_of(Norm(0.5, {1, 1}, 1, 2, ties), even) == half(even, torch));
      CHECK(mask_of(Norm(0.5, {1, 4}, 4, 2, ties), wide) == half(wide, torch));
      CHECK(mask_of(Norm(0.5, {2, 2}, 4, 2, ties), even) == half(even, torch));
    }
    const Norm quarter(0.25, {1, 1}, 1, 2, kPytorch), middle(0.5, {1, 1}, 1, 2, kPytorch);
    CHECK(mask_of(quarter, ones({1, 8})) == Tensor::of({{1, 1, 1, 1, 1, 0, 0, 1}}));
    CHECK(mask_of(middle, Tensor::of({{2, 1, 1, 1}})) == Tensor::of({{1, 1, 0, 0}}));
    CHECK(mask_of(quarter, Tensor::of({{1, 1, 1, 2}})) == Tensor::of({{1, 0, 1, 1}}));
    CHECK(mask_of(Norm(1, {1, 4}, 2, 2, kPytorch), ones({2, 8})) ==
          Tensor::of({{1, 1, 0, 0, 1, 1, 0, 0}, {1, 1, 0, 0, 1, 1, 0, 0}}));
    CHECK(mask_of(Norm(0.25, {1, 1}), ones({1, 8})) == Tensor::of({{0, 0, 1, 1, 1, 1, 1, 1}}));
    CHECK(mask_of(Norm(0.5, {1, 1}), Tensor::of({{2, 1, 1, 1}})) == Tensor::of({{1, 0, 0, 1}}));
    CHECK(mask_of(Norm(0.25, {1, 1}), Tensor::of({{1, 1, 1, 2}})) == Tensor::of({{0, 1, 1, 1}}));
    CHECK(mask_of(Norm(1, {1, 4}, 2), ones({1, 8})) == Tensor::of({{0, 0, 1, 1, 0, 0, 1, 1}}));
  }

  TEST_CASE("blocks of many cells rank their entries as those of few") {
    const Tensor w = randperm(400).to(Dtype::f32).reshape({10, 40});
    const Tensor mask = mask_of(Norm(1, {5, 20}, 37), w);
    for (std::int64_t i = 0; i < 2; ++i)
      for (std::int64_t j = 0; j < 2; ++j) CHECK(count_nonzero(narrow(narrow(mask, 0, 5 * i, 5), 1, 20 * j, 20)) == 63);
    CHECK(mask_of(Norm(1, {5, 20}, 37, 2, kPytorch), w) == mask);
    CHECK(mask_of(Norm(1, {1, 40}, 3), ones({1, 40})) == cat({zeros({1, 3}), ones({1, 37})}, 1));
  }

  TEST_CASE("NaN is pruned last, infinity before it") {
    const Tensor w = Tensor::of({{kNan, 1, HUGE_VAL, 2}});
    CHECK(mask_of(Norm(0.75, {1, 1}), w) == Tensor::of({{1, 0, 0, 0}}));
    CHECK(mask_of(Norm(1, {1, 4}, 3), w) == Tensor::of({{1, 0, 0, 0}}));
    CHECK(mask_of(Norm(0.5, {1, 2}), w) == Tensor::of({{1, 1, 0, 0}}));
  }

  TEST_CASE("masks are sticky: what is pruned ranks last, unless dense weights are ranked") {
    Prepared<Norm> sticky(Norm(0.5, {1, 1}), Tensor::of({{4, 3, 2, 1}}));
    Prepared<Norm> dense(Norm(0.5, {1, 1}), Tensor::of({{4, 3, 2, 1}}), {{"score_dense", true}});
    for (Prepared<Norm>* p : {&sticky, &dense}) {
      CHECK(p->step() == Tensor::of({{1, 1, 0, 0}}));
      const NoGrad guard;
      p->sparsifier.groups()[0].original().copy_(Tensor::of({{0.1, 0.2, 20, 10}}));
    }
    CHECK(sticky.step() == Tensor::of({{1, 1, 0, 0}}));
    CHECK(dense.step() == Tensor::of({{0, 0, 1, 1}}));
    sticky.set("sparsity_level", 0.0);
    (void)sticky.step();
    sticky.set("sparsity_level", 0.5);
    CHECK(sticky.step() == Tensor::of({{0, 0, 1, 1}}));
  }

  TEST_CASE("a lower level revives by position, not by magnitude") {
    const double levels[] = {0.5, 0.75, 0.5, 0.25, 0, 0.25};
    const Tensor torch[] = {Tensor::of({{1, 1, 0, 0}}), Tensor::of({{1, 0, 0, 0}}), Tensor::of({{1, 1, 0, 0}}),
                            Tensor::of({{1, 1, 0, 1}}), Tensor::of({{1, 1, 1, 1}}), Tensor::of({{1, 1, 1, 0}})};
    const Tensor lowest[] = {Tensor::of({{1, 1, 0, 0}}), Tensor::of({{1, 0, 0, 0}}), Tensor::of({{1, 0, 0, 1}}),
                             Tensor::of({{1, 0, 1, 1}}), Tensor::of({{1, 1, 1, 1}}), Tensor::of({{1, 1, 1, 0}})};
    Prepared<Norm> a(Norm(0.5, {1, 1}, 1, 2, kPytorch), Tensor::of({{4, 3, 2, 1}}));
    Prepared<Norm> b(Norm(0.5, {1, 1}), Tensor::of({{4, 3, 2, 1}}));
    for (std::size_t i = 0; i < 6; ++i) {
      CAPTURE(i);
      a.set("sparsity_level", levels[i]);
      b.set("sparsity_level", levels[i]);
      CHECK(a.step() == torch[i]);
      CHECK(b.step() == lowest[i]);
    }
  }

  TEST_CASE("zeros per block are those of the constructor's shape, also for a group's own shape") {
    const Tensor w = Tensor::of({{1, 2, 3, 4}, {5, 6, 7, 8}});
    using Sides = std::vector<std::int64_t>;
    CHECK(Norm().defaults().integer("zeros_per_block") == 4);
    CHECK_THROWS_AS(Prepared<Norm>(Norm(), w, {{"sparse_block_shape", Sides{1, 1}}}), ValueError);
    CHECK(mask_of(Norm(1), w, {{"sparse_block_shape", Sides{2, 4}}}) == Tensor::of({{0, 0, 0, 0}, {1, 1, 1, 1}}));
    CHECK(mask_of(Norm(1), w, {{"sparse_block_shape", Sides{1, 1}}, {"zeros_per_block", std::int64_t{1}}}) ==
          zeros({2, 4}));
  }

  TEST_CASE("bad settings are refused when they are made, prepared, and used") {
    CHECK_THROWS_AS(Norm(kNan, {1, 4}), ValueError);
    CHECK_THROWS_AS(Norm(0.5, {0, 4}), ValueError);
    CHECK_THROWS_AS(Norm(0.5, {1, 4}, 5), ValueError);
    CHECK_THROWS_AS(Norm(0.5, {1, 4}, -1), ValueError);
    CHECK_THROWS_AS(Norm(0.5, {1, 4}, 4, 3), ValueError);
    CHECK_THROWS_AS(Norm(0.5, {1, 4}, 4, ScoreNorm::Function()), ValueError);
    CHECK_THROWS_AS(ScoreNorm(NamedFunction{"test.nowhere"}), KeyError);
    const Tensor w = ones({2, 4});
    CHECK_THROWS_AS(Prepared<Norm>(Norm(), w, {{"sparsity_level", std::string("high")}}), TypeError);
    CHECK_THROWS_AS(Prepared<Norm>(Norm(), w, {{"sparse_block_shape", std::vector<std::int64_t>{4}}}), ValueError);
    CHECK_THROWS_AS(Prepared<Norm>(Norm(), w, {{"zeros_per_block", 1.5}}), TypeError);
    Prepared<Norm> p(Norm(0.5), w);
    p.set("sparsity_level", kNan);
    CHECK_THROWS_AS(p.sparsifier.step(), ValueError);
    p.set("sparsity_level", 0.5);
    p.set("zeros_per_block", std::int64_t{5});
    CHECK_THROWS_AS(p.sparsifier.step(), ValueError);
    CHECK(p.mask() == ones({2, 4}));
    Prepared<Norm> shrinks(Norm(0.5, {1, 1}, 1, ScoreNorm([](const Tensor& t) { return sum(t, {0}); })), w);
    CHECK_THROWS_AS(shrinks.sparsifier.step(), ShapeError);
    const auto two = std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{
        std::make_shared<nn::Linear>(4, 2, false), std::make_shared<nn::Linear>(2, 3, false)});
    Norm refuses(0.5, {1, 1}, 1, ScoreNorm([](const Tensor& t) {
                   if (t.size(0) == 3) throw ValueError("[test] three rows");
                   return abs(t);
                 }));
    refuses.prepare(two);
    CHECK_THROWS_AS(refuses.step(), ValueError);
    CHECK(refuses.step_count() == 0);
    for (const Group& group : refuses.groups()) CHECK(count_nonzero(group.mask()) == group.mask().numel());
    Prepared<Norm> vast(Norm(1, {1, std::int64_t{1} << 40}, 1), w);
    CHECK_THROWS_AS(vast.sparsifier.step(), LimitError);
    CHECK(mask_of(Norm(1, {std::int64_t{1} << 40, 1}), w) == zeros({2, 4}));
  }

  TEST_CASE("tensors of one axis: only where nothing is to be chosen; of four: [first, all others]") {
    const auto layer = std::make_shared<nn::Linear>(4, 4);
    Norm s(1);
    s.prepare(layer, {at("bias")});
    s.step();
    CHECK(count_nonzero(s.groups()[0].mask()) == 0);
    s.groups()[0].config.set("sparsity_level", 0.5);
    CHECK_THROWS_AS(s.step(), ShapeError);

    const auto conv = std::make_shared<nn::Conv2d>(2, 2, 2);
    {
      const NoGrad guard;
      conv->tensor("weight").copy_(arange(1, 17).reshape({2, 2, 2, 2}));
    }
    Norm c(0.5);
    c.prepare(conv, {at("weight")});
    c.step();
    CHECK(c.groups()[0].mask().to(Dtype::f32) == cat({zeros({1, 2, 2, 2}), ones({1, 2, 2, 2})}, 0));
  }

  TEST_CASE("the mask keeps its type; half types and doubles rank in their own precision") {
    for (const Dtype type : {Dtype::f64, Dtype::f16, Dtype::bf16}) {
      const auto layer = std::make_shared<nn::Linear>(4, 2, false);
      nn::load_state_dict(*layer, NamedTensors{{"weight", Tensor::of({{8, 1, 6, 3}, {2, 7, 4, 5}})}});
      layer->to(type);
      Norm s(0.375, {1, 1});
      s.prepare(layer, {at("weight", {{"mask", ones({2, 4}, type)}})});
      s.step();
      CHECK(s.groups()[0].mask() == Tensor::of({{1, 0, 1, 0}, {0, 1, 1, 1}}).to(type));
      CHECK(layer->tensor("weight").dtype() == type);
    }
    const auto layer = std::make_shared<nn::Linear>(2, 1, false);
    layer->to(Dtype::f64);  // squares that a float would take for equal, infinite
    nn::load_state_dict(*layer, NamedTensors{{"weight", Tensor::from(std::vector<double>{2e100, 1e100}, {1, 2})}});
    Norm s(0.5, {1, 1});
    s.prepare(layer, {at("weight")});
    s.step();
    CHECK(s.groups()[0].mask().to(Dtype::f32) == Tensor::of({{1, 0}}));
  }

  TEST_CASE("empty tensors") {
    const auto layer = std::make_shared<nn::Linear>(0, 3, false);
    Norm s(0.5);
    s.prepare(layer, {at("weight")});
    s.step();
    CHECK(s.groups()[0].mask().shape() == Shape{3, 0});
  }

  TEST_CASE("equal masks for 1, 2 and 7 threads") {
    Generator g(5);
    const Tensor w = randint(-9, 10, {600, 300}, Dtype::i64, &g).to(Dtype::f32);
    const int before = num_threads();
    for (const Norm& s : {Norm(0.5, {1, 1}), Norm(0.4, {16, 1}), Norm(0.7, {7, 3}), Norm(0.5, {1, 4}, 2)}) {
      std::vector<Tensor> masks;
      for (const int threads : {1, 2, 7}) {
        set_num_threads(threads);
        masks.push_back(mask_of(s, w));
      }
      CHECK(masks[1] == masks[0]);
      CHECK(masks[2] == masks[0]);
    }
    set_num_threads(before);
  }
}
