#include "coppice/sparsity/prune/global_floor.h"

#include <doctest/doctest.h>

#include <limits>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/prune/prune.h"

using namespace coppice;
using namespace coppice::sparsity;
using namespace coppice::sparsity::prune;

namespace {

struct Layers {
  nn::Linear small, large;
  std::vector<Target> targets{{&small, "weight"}, {&large, "weight"}};
  /// Every entry of the small one is smaller than all of the large one.
  Layers() : small(4, 2), large(4, 2) {
    const NoGrad off;
    small.tensor("weight").copy_(Tensor::of({{-1, 2, 3, -4}, {5, 6, 7, 8}}));
    large.tensor("weight").copy_(Tensor::of({{10, 11, 12, 13}, {14, 15, 16, -17}}));
  }
  [[nodiscard]] Tensor mask(int i) { return (i == 0 ? small : large).tensor("weight_mask"); }
};

std::int64_t kept(const Tensor& mask) { return count_nonzero(mask); }

}  // namespace

TEST_SUITE("sparsity/prune/global_floor") {
  TEST_CASE("each parameter keeps its largest, and what may not go there goes elsewhere") {
    Layers l;
    global_l1_keeping(l.targets, 8, 0.25);
    CHECK(l.mask(0) == Tensor::of({{0, 0, 0, 0}, {0, 0, 1, 1}}));
    CHECK(l.mask(1) == Tensor::of({{0, 0, 1, 1}, {1, 1, 1, 1}}));
    Layers rounded;
    global_l1_keeping(rounded.targets, 0.5, 0.3);  // 2.4 entries are 3
    CHECK(kept(rounded.mask(0)) == 3);
    CHECK(kept(rounded.mask(1)) == 5);
  }

  TEST_CASE("a share that nobody meets, and none, give the masks of global_unstructured") {
    Layers plain;
    global_unstructured(plain.targets, L1Unstructured(3));
    for (const double share : {0.0, 0.25, 0.625}) {
      Layers l;
      global_l1_keeping(l.targets, 3, share);
      for (int i : {0, 1}) CHECK(l.mask(i) == plain.mask(i));
    }
    Generator a(5), b(5);
    Layers drawn, kept_share;
    global_unstructured(drawn.targets, RandomUnstructured(6, default_tie_rule(), &a));
    global_random_keeping(kept_share.targets, 6, 0.01, default_tie_rule(), &b);
    for (int i : {0, 1}) CHECK(kept_share.mask(i) == drawn.mask(i));
  }

  TEST_CASE("at random each keeps its share too, for any seed") {
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
      CAPTURE(seed);
      Generator generator(seed);
      Layers l;
      global_random_keeping(l.targets, 0.5, 0.375, default_tie_rule(), &generator);
      CHECK(kept(l.mask(0)) >= 3);
      CHECK(kept(l.mask(1)) >= 3);
      CHECK(kept(l.mask(0)) + kept(l.mask(1)) == 8);
    }
  }

  TEST_CASE("of what earlier masks left, the share of all entries stays, or what is left") {
    Layers l;
    l1_unstructured(l.small, "weight", 7);
    global_l1_keeping(l.targets, 6, 0.25);
    CHECK(l.mask(0) == Tensor::of({{0, 0, 0, 0}, {0, 0, 0, 1}}));
    CHECK(l.mask(1) == Tensor::of({{0, 0, 0, 0}, {0, 0, 1, 1}}));
  }

  TEST_CASE("ties go by the rule, and infinities that have to stay do") {
    nn::Linear flat(4, 1);
    const NoGrad off;
    flat.tensor("weight").fill_(2);
    global_l1_keeping({{&flat, "weight"}}, 2, 0.5, TieRule::lowest_index);
    CHECK(flat.tensor("weight_mask") == Tensor::of({{0, 0, 1, 1}}));
    nn::Linear wild(4, 1);
    wild.tensor("weight").fill_(std::numeric_limits<double>::infinity());
    global_l1_keeping({{&wild, "weight"}}, 2, 0.5);
    CHECK(wild.tensor("weight_mask") == Tensor::of({{0, 0, 1, 1}}));
  }

  TEST_CASE("what cannot be is refused, and nothing has changed") {
    Layers l;
    CHECK_THROWS_WITH_AS(
        global_l1_keeping(l.targets, 0.9, 0.25),
        "[global_unstructured] of 16 entries that are left 14 are to go; where each parameter keeps at "
        "least 0.25 of its own, 12 may",
        ValueError);
    for (const double share : {-0.1, 1.1, std::numeric_limits<double>::quiet_NaN()})
      CHECK_THROWS_AS(global_l1_keeping(l.targets, 1, share), ValueError);
    CHECK_THROWS_AS(global_l1_keeping(l.targets, 17, 0.25), ValueError);
    CHECK_THROWS_AS(global_l1_keeping({}, 1, 0.1), ValueError);
    CHECK_THROWS_AS(global_random_keeping({{nullptr, "weight"}}, 1, 0.1), TypeError);
    CHECK_THROWS_AS(global_random_keeping({{&l.small, "wait"}}, 1, 0.1), KeyError);
    CHECK_FALSE(nn::is_masked(l.small, "weight"));
    CHECK_NOTHROW(global_l1_keeping(l.targets, 0, 1));
    CHECK(kept(l.mask(0)) == 8);
  }
}
