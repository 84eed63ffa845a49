#include "coppice/sparsity/mask_ops.h"

#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine/create.h"
#include "coppice/engine/parallel.h"
#include "coppice/engine/random.h"
#include "support/approx.h"

using namespace coppice;
using namespace coppice::sparsity;
using coppice::testing::differs;

namespace {

const double kNan = std::nan("");

/// Positions of the zeros of a mask, row-major.
std::vector<std::int64_t> pruned(const Tensor& mask) {
  std::vector<std::int64_t> out;
  const auto values = mask.to_vector<double>();
  for (std::size_t i = 0; i < values.size(); ++i)
    if (values[i] == 0)
      out.push_back(static_cast<std::int64_t>(i));
    else
      CHECK(values[i] == 1);
  return out;
}
using At = std::vector<std::int64_t>;

}  // namespace

TEST_SUITE("sparsity/mask_ops") {
  TEST_CASE("mask_smallest prunes exactly the `count` smallest magnitudes") {
    const Tensor scores = Tensor::of({{3, -1}, {0.5, -2}});
    CHECK(mask_smallest(scores, 0) == ones({2, 2}));
    CHECK(mask_smallest(scores, 1) == Tensor::of({{1, 1}, {0, 1}}));
    CHECK(mask_smallest(scores, 2) == Tensor::of({{1, 0}, {0, 1}}));
    CHECK(mask_smallest(scores, 3) == Tensor::of({{1, 0}, {0, 0}}));
    CHECK(mask_smallest(scores, 4) == zeros({2, 2}));
    CHECK_THROWS_AS((void)mask_smallest(scores, 5), ValueError);
    CHECK_THROWS_AS((void)mask_smallest(scores, -1), ValueError);
  }

  TEST_CASE("equal scores: the lower index goes first, or those that torch.topk takes") {
    const Tensor same = ones({2, 4});
    CHECK(pruned(mask_smallest(same, 3)) == At{0, 1, 2});
    CHECK(pruned(mask_smallest(same, 3, TieRule::pytorch)) == At{4, 5, 6});
    CHECK(pruned(mask_smallest(ones({12}), 2, TieRule::pytorch)) == At{7, 9});
    CHECK(pruned(mask_smallest(ones({200}), 3, TieRule::pytorch)) == At{0, 1, 2});
    CHECK(pruned(mask_smallest(Tensor::of({2, -1, 1, -1, 1}), 2)) == At{1, 2});
  }

  TEST_CASE("NaN ranks above every number, infinity above every finite one; -0 equals 0") {
    const Tensor scores = Tensor::of({kNan, 1, -HUGE_VAL, 0, kNan});
    for (const TieRule ties : {TieRule::lowest_index, TieRule::pytorch}) {
      CHECK(pruned(mask_smallest(scores, 2, ties)) == At{1, 3});
      CHECK(pruned(mask_smallest(scores, 3, ties)) == At{1, 2, 3});
      CHECK(pruned(mask_smallest(scores, 4, ties)).size() == 4);
    }
    CHECK(pruned(mask_smallest(Tensor::of({0.0, -0.0, 0.0}), 1)) == At{0});
  }

  TEST_CASE("the mask has the shape and type of the scores, for every type and for empty ones") {
    for (const Dtype dtype :
         {Dtype::f32, Dtype::f64, Dtype::f16, Dtype::bf16, Dtype::i8, Dtype::u8, Dtype::i16, Dtype::i32, Dtype::i64}) {
      const Tensor mask = mask_smallest(Tensor::of({{4, 1}, {3, 2}}).to(dtype), 2);
      CHECK(mask.dtype() == dtype);
      CHECK(pruned(mask) == At{1, 3});
    }
    CHECK(mask_smallest(zeros({0, 3}), 0).shape() == Shape{0, 3});
    CHECK(mask_smallest(Tensor::of(5), 1).item() == 0);
    CHECK(mask_smallest(Tensor::of(5), 0).item() == 1);
  }

  TEST_CASE("random masks are PyTorch's") {
    Generator g(0);  // then Linear(5, 2) takes 10 draws for the weight and 2 for the bias
    std::vector<float> drawn(12);
    g.uniform(std::span<float>(drawn));
    const Tensor like = ones({2, 5});
    CHECK(mask_random(like, 3, g) == Tensor::of({{1, 1, 1, 1, 0}, {0, 1, 1, 1, 0}}));
    CHECK(mask_random(like, 10, g) == zeros({2, 5}));
    CHECK_THROWS_AS((void)mask_random(like, 11, g), ValueError);

    Generator rows(0);  // Linear(5, 4): 20 and 4 draws
    std::vector<float> more(24);
    rows.uniform(std::span<float>(more));
    CHECK(mask_random_channels(ones({4, 5}), 2, 0, rows) ==
          Tensor::of({{0, 0, 0, 0, 0}, {1, 1, 1, 1, 1}, {1, 1, 1, 1, 1}, {0, 0, 0, 0, 0}}));
    Generator five(5);
    CHECK(mask_random_channels(ones({2, 4}), 2, 1, five) == Tensor::of({{1, 0, 1, 0}, {1, 0, 1, 0}}));
  }

  TEST_CASE("random structured pruning takes exactly `count`; PyTorch's rule may take one more where draws are equal") {
    Generator ours(1901), theirs(1901);
    const Tensor like = ones({4096, 1});
    CHECK(pruned(mask_random_channels(like, 2048, 0, ours)).size() == 2048);
    CHECK(pruned(mask_random_channels(like, 2048, 0, theirs, TieRule::pytorch)).size() == 2049);
  }

  TEST_CASE("channel_norms: every order, as torch.norm") {
    const Tensor t = Tensor::of({{3, -4, 0}, {0, 0, 1}});
    const auto check = [&](NormOrder n, double first, double second) {
      CHECK(differs(channel_norms(t, n, 0), Tensor::of({first, second}), Tolerance{1e-5, 1e-5}) == "");
    };
    check(1, 7, 1);
    check(2, 5, 1);
    check(3, 4.4979, 1);
    check(1.5, 5.5843, 1);
    check(0.5, 13.9282, 1);
    check(0, 2, 1);
    check(HUGE_VAL, 4, 1);
    check(-HUGE_VAL, 0, 0);
    check(-1, 0, 0);
    check(-2, 0, 0);
    check(NormOrder::Word::fro, 5, 1);

    const Tensor cube = arange(-12, 12).reshape({2, 3, 4});
    const auto middle = [&](NormOrder n, double a, double b, double c) {
      CHECK(differs(channel_norms(cube, n, 1), Tensor::of({a, b, c}), Tolerance{1e-5, 1e-4}) == "");
      CHECK(differs(channel_norms(cube, n, -2), Tensor::of({a, b, c}), Tolerance{1e-5, 1e-4}) == "");
    };
    middle(1, 48, 48, 48);
    middle(2, 21.4476, 17.3205, 19.8997);
    middle(0, 7, 8, 8);
    middle(0.5, 292.0431, 379.9008, 340.5351);
    middle(HUGE_VAL, 12, 8, 11);
    middle(-HUGE_VAL, 0, 4, 1);
    middle(-1, 0, 0.7173, 0.3984);
    middle(NormOrder::Word::nuc, 23.8187, 20.1825, 22.4350);

    CHECK(std::isnan(channel_norms(Tensor::of({{kNan, 1}, {2, 2}}), 2, 0).at({0})));
    CHECK(channel_norms(Tensor::of({{kNan, 1}, {2, 2}}), 0, 0) == Tensor::of({2, 2}));
    CHECK(channel_norms(zeros({2, 0}), 2, 0) == zeros({2}));
    CHECK_THROWS_AS((void)channel_norms(t, 2, 2), IndexError);
    CHECK_THROWS_AS((void)channel_norms(t, 2, -3), IndexError);
    CHECK_THROWS_AS((void)channel_norms(t.to(Dtype::i64), 2, 0), DtypeError);
    CHECK_THROWS_AS((void)channel_norms(ones({2, 2, 2, 2}), NormOrder::Word::fro, 0), ValueError);
    CHECK_THROWS_AS((void)channel_norms(t, NormOrder::Word::nuc, 0), ValueError);
  }

  TEST_CASE("mask_channels prunes whole slices along any axis") {
    const Tensor like = ones({2, 3, 2});
    CHECK(mask_channels(like, Tensor::of({2, 1}), 1, 0) ==
          Tensor::from(std::vector<float>{1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0}, {2, 3, 2}));
    CHECK(mask_channels(like, Tensor::of({5, 1, 3}), 2, 1) ==
          Tensor::from(std::vector<float>{1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0}, {2, 3, 2}));
    CHECK(mask_channels(like, Tensor::of({5, 1, 3}), 2, -2) == mask_channels(like, Tensor::of({5, 1, 3}), 2, 1));
    CHECK(pruned(mask_channels(like, Tensor::of({4, 1}), 1, 2)) == At{1, 3, 5, 7, 9, 11});
    CHECK(mask_channels(like, Tensor::of({1, 1}), 0, 0) == like);
    CHECK(mask_channels(like, Tensor::of({1, 1}), 2, 0) == zeros({2, 3, 2}));
    CHECK(mask_channels(like.to(Dtype::f16), Tensor::of({1, 2}), 1, 0).dtype() == Dtype::f16);
  }

  TEST_CASE("equal norms: the lower slice goes first, or what PyTorch prunes; NaN stays longest") {
    const Tensor like = ones({4, 1}), same = ones({4});
    CHECK(pruned(mask_channels(like, same, 1, 0)) == At{0});
    CHECK(pruned(mask_channels(like, same, 2, 0)) == At{0, 1});
    CHECK(pruned(mask_channels(like, same, 1, 0, TieRule::pytorch)) == At{1});  // torch.topk keeps 0, 2, 3
    CHECK(pruned(mask_channels(like, same, 2, 0, TieRule::pytorch)) == At{0, 1});
    for (const TieRule ties : {TieRule::lowest_index, TieRule::pytorch})
      CHECK(pruned(mask_channels(like, Tensor::of({kNan, 1, HUGE_VAL, 2}), 3, 0, ties)) == At{1, 2, 3});
  }

  TEST_CASE("slices that are not there, scores that do not fit") {
    const Tensor like = ones({2, 3}), scores = ones({2});
    CHECK_THROWS_AS((void)mask_channels(like, scores, 3, 0), ValueError);
    CHECK_THROWS_AS((void)mask_channels(like, scores, -1, 0), ValueError);
    CHECK_THROWS_AS((void)mask_channels(like, scores, 1, 1), ShapeError);
    CHECK_THROWS_AS((void)mask_channels(like, scores, 1, 2), IndexError);
    CHECK_THROWS_AS((void)mask_channels(ones({2}), scores, 1, 0), ShapeError);
    Generator g(0);
    CHECK_THROWS_AS((void)mask_random_channels(like, 4, 1, g), ValueError);
    CHECK_THROWS_AS((void)mask_random_channels(like, 1, -3, g), IndexError);
    CHECK_THROWS_AS((void)mask_random_channels(ones({2}), 1, 0, g), ShapeError);
    CHECK(g.state() == Generator(0).state());  // nothing was drawn
  }

  TEST_CASE("equal masks for 1, 2 and 7 threads, on scores with many ties") {
    Generator g(11);
    const Tensor scores = randint(-50, 50, {1000, 700}, Dtype::i64, &g).to(Dtype::f32);
    const int before = num_threads();
    std::vector<Tensor> masks;
    for (const int threads : {1, 2, 7}) {
      set_num_threads(threads);
      masks.push_back(mask_smallest(scores, 654321));
    }
    set_num_threads(before);
    CHECK(pruned(masks[0]).size() == 654321);
    CHECK(masks[1] == masks[0]);
    CHECK(masks[2] == masks[0]);
  }

  TEST_CASE("sparsity_of counts zeros of either sign, not NaN") {
    CHECK(sparsity_of(Tensor::of({0.0, -0.0, kNan, 1})) == 0.5);
    CHECK(sparsity_of(zeros({0})) == 0);
    CHECK(sparsity_of(zeros({3}, Dtype::i64)) == 1);
  }
}
