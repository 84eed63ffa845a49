// Order statistics and the masks made from them.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "coppice/engine.h"

namespace {

using namespace coppice;

const double kNan = std::numeric_limits<double>::quiet_NaN();

TEST_SUITE("engine/ops/select") {
  TEST_CASE("topk takes the best first, NaN above all, the lower position of equal ones") {
    const Tensor t = Tensor::of({3, 1, 3, kNan, 2});
    CHECK(topk(t, 3).indices.to_vector<std::int64_t>() == std::vector<std::int64_t>{3, 0, 2});
    CHECK(topk(t, 2, -1, false).indices.to_vector<std::int64_t>() == std::vector<std::int64_t>{1, 4});
    CHECK(topk(t, 0).values.shape() == Shape{0});
    CHECK_THROWS_AS((void)topk(t, 6), ValueError);
    CHECK_THROWS_AS((void)topk(t, 1, 1), IndexError);
  }

  TEST_CASE("ties as PyTorch breaks them") {
    const auto ties = [](std::int64_t n, std::int64_t k) {
      auto at = topk(ones({n}), k, -1, true, TieRule::pytorch).indices.to_vector<std::int64_t>();
      std::sort(at.begin(), at.end());
      return at;
    };
    CHECK(ties(4, 1) == std::vector<std::int64_t>{2});
    CHECK(ties(7, 3) == std::vector<std::int64_t>{3, 4, 5});
    CHECK(ties(20, 2) == std::vector<std::int64_t>{12, 14});
    CHECK(ties(200, 3) == std::vector<std::int64_t>{0, 1, 2});
  }

  TEST_CASE("kthvalue and sort work along any axis") {
    const Tensor t = Tensor::of({{3, 1}, {2, 5}, {1, 4}});
    CHECK(kthvalue(t, 2, 0).values == Tensor::of({2, 4}));
    CHECK(kthvalue(t, 1, 1).indices.to_vector<std::int64_t>() == std::vector<std::int64_t>{1, 0, 0});
    CHECK(sort(t, 0).values == Tensor::of({{1, 1}, {2, 4}, {3, 5}}));
    CHECK(sort(t, 1, true).values == Tensor::of({{3, 1}, {5, 2}, {4, 1}}));
    CHECK(sort(Tensor::of(7)).values.item() == 7);
    CHECK_THROWS_AS((void)kthvalue(t, 0, 0), ValueError);
  }

  TEST_CASE("select_masks prunes exactly `count` over all tensors, and only what takes part") {
    const TensorList scores{Tensor::of({-1, 4, 2}), Tensor::of({{0.5, 3}})};
    TensorList masks = select_masks(scores, {.count = 2});
    CHECK(masks[0] == Tensor::of({0, 1, 1}));
    CHECK(masks[1] == Tensor::of({{0, 1}}));
    const TensorList eligible{Tensor::of({0, 1, 1}), Tensor::of({{1, 1}})};
    masks = select_masks(scores, {.count = 2}, eligible);
    CHECK(masks[0] == Tensor::of({0, 1, 0}));
    CHECK(masks[1] == Tensor::of({{0, 1}}));
    CHECK_THROWS_AS((void)select_masks(scores, {.count = 6}), ValueError);
    CHECK_THROWS_AS((void)select_masks(scores, {.count = -1}), ValueError);
    CHECK_THROWS_AS((void)select_masks(scores, {.count = 1}, {eligible[0]}), ShapeError);
  }

  TEST_CASE("zero_selected_ does in place what the masks say, for every type, count and number of threads") {
    Generator generator(5);
    for (const Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::f16, Dtype::i32})
      for (const TieRule ties : {TieRule::lowest_index, TieRule::pytorch})
        for (const std::int64_t count : {0, 1, 700, 1999, 2000}) {
          CAPTURE(name_of(dtype));
          CAPTURE(count);
          TensorList tensors;
          for (int i = 0; i < 2; ++i)  // few different values: many ties
            tensors.push_back(randint(-9, 9, {20, 50}, Dtype::i64, &generator).to(dtype));
          const TensorList masks = select_masks(tensors, {.count = count, .ties = ties});
          TensorList wanted;
          for (int i = 0; i < 2; ++i) wanted.push_back(tensors[i] * masks[i]);
          for (const int threads : {1, 2, 7}) {
            set_num_threads(threads);
            TensorList copies{tensors[0].clone(), tensors[1].clone()};
            zero_selected_(copies, {.count = count, .ties = ties});
            CHECK(copies[0] == wanted[0]);
            CHECK(copies[1] == wanted[1]);
          }
          set_num_threads(2);
        }
  }

  TEST_CASE("zero_selected_ writes +0, also over negatives and NaN, under either tie rule; others may rank") {
    for (const TieRule ties : {TieRule::lowest_index, TieRule::pytorch}) {
      Tensor t = Tensor::of({-1, std::nan(""), 5});
      zero_selected_({t}, {.count = 3, .ties = ties});
      for (const float x : t.to_vector<float>()) CHECK((x == 0 && !std::signbit(x)));
      t = Tensor::of({-1, HUGE_VAL, 5});
      zero_selected_({t}, {.count = 2, .ties = ties}, {Tensor::of({3, 1, 2})});
      CHECK(t == Tensor::of({-1, 0, 0}));
      CHECK_THROWS_AS(zero_selected_({t}, {.count = 1, .ties = ties}, {ones({2})}), ShapeError);
    }
  }

  TEST_CASE(
      "large inputs whose cut lies among NaN, infinities or equal numbers: exactly `count`, lower positions first") {
    const std::int64_t n = (1 << 18) + 77;
    Generator g(3);
    std::vector<float> v(static_cast<std::size_t>(n));
    g.normal(std::span<float>(v));
    for (std::size_t i = 0; i < v.size(); ++i) {
      if (i % 7 == 0) v[i] = static_cast<float>(i % 2 == 0 ? -kNan : kNan);
      if (i % 7 == 1) v[i] = i % 2 == 0 ? -HUGE_VALF : HUGE_VALF;
      if (i % 7 == 2) v[i] = i % 2 == 0 ? -0.5f : 0.5f;
    }
    std::vector<std::int64_t> order(v.size());
    std::iota(order.begin(), order.end(), 0);
    const auto rank = [&](std::int64_t i) {
      const double x = std::abs(static_cast<double>(v[static_cast<std::size_t>(i)]));
      return std::isnan(x) ? std::numeric_limits<double>::max() * 2 : std::min(x, 1e300);
    };
    std::ranges::stable_sort(order, [&](std::int64_t a, std::int64_t b) { return rank(a) < rank(b); });
    for (const std::int64_t count : {n / 10, n * 2 / 5, n * 4 / 5, n - 5, n}) {
      CAPTURE(count);
      Tensor wanted = ones({n});
      for (std::int64_t i = 0; i < count; ++i) wanted.set_({order[static_cast<std::size_t>(i)]}, 0);
      for (const int threads : {1, 7}) {
        set_num_threads(threads);
        CHECK(select_masks({Tensor::from(v, {n})}, {.count = count})[0] == wanted);
        Tensor t = Tensor::from(v, {n});
        zero_selected_({t}, {.count = count}, {Tensor::from(v, {n})});
        CHECK(n - count_nonzero(t) == count);
      }
      set_num_threads(2);
    }
  }

  TEST_CASE("select_masks_ writes into masks of any types; all entries take part where no mask is given") {
    const TensorList masks{Tensor::empty({3}, Dtype::f64), Tensor::empty({2, 1}, Dtype::u8)};
    const TensorList scores{Tensor::of({-1, 4, 2}), Tensor::of({{0.5, 3}})};
    select_masks_(masks, scores, {.count = 2}, {Tensor::of({0, 1, 1}), Tensor()});
    CHECK(masks[0] == Tensor::of({0, 1, 0}).to(Dtype::f64));
    CHECK(masks[1] == Tensor::of({0, 1}).to(Dtype::u8).reshape({2, 1}));
    CHECK_THROWS_AS(select_masks_(masks, scores, {.count = 5}, {Tensor::of({0, 1, 1}), Tensor()}), ValueError);
    CHECK_THROWS_AS(select_masks_({masks[0]}, scores, {.count = 1}), ShapeError);
  }

  TEST_CASE("the smallest integer of a type ranks by its size; TieRule::pytorch ranks what PyTorch's abs makes of it") {
    const auto pruned = [](const TensorList& scores, std::int64_t count, TieRule ties) {
      std::vector<std::int64_t> out;
      for (const Tensor& mask : select_masks(scores, {.count = count, .ties = ties}))
        for (const std::int64_t kept : mask.to_vector<std::int64_t>()) out.push_back(1 - kept);
      return out;
    };
    using List = std::vector<std::int64_t>;
    for (const Dtype dtype : {Dtype::i8, Dtype::i16, Dtype::i32, Dtype::i64}) {
      CAPTURE(to_string(dtype));
      const std::int64_t least = INT64_MIN >> (64 - 8 * static_cast<int>(itemsize(dtype)));
      const Tensor t = Tensor::from(List{least, 5, -7, 0, least}, {5}).to(dtype);
      CHECK(pruned({t}, 1, TieRule::lowest_index) == List{0, 0, 0, 1, 0});
      CHECK(pruned({t}, 3, TieRule::lowest_index) == List{0, 1, 1, 1, 0});
      CHECK(pruned({t}, 2, TieRule::pytorch) == List{1, 0, 0, 0, 1});
      CHECK(pruned({t}, 4, TieRule::pytorch) == List{1, 1, 0, 1, 1});
      Tensor zeroed = t.clone();
      zero_selected_({zeroed}, {.count = 2, .ties = TieRule::pytorch});
      CHECK(zeroed == Tensor::from(List{0, 5, -7, 0, 0}, {5}).to(dtype));
    }
    // Several tensors are joined first, in a type that holds all of them.
    const Tensor byte = Tensor::of({-128, 3}).to(Dtype::i8);
    CHECK(pruned({byte, Tensor::of({100}).to(Dtype::i16)}, 1, TieRule::pytorch) == List{0, 1, 0});
    CHECK(pruned({byte, Tensor::of({100}).to(Dtype::u8)}, 1, TieRule::pytorch) == List{0, 1, 0});
    CHECK(pruned({byte, Tensor::of({100})}, 1, TieRule::pytorch) == List{0, 1, 0});
    CHECK(pruned({byte, Tensor::of({100}).to(Dtype::i8)}, 1, TieRule::pytorch) == List{1, 0, 0});
    // What takes no part stays out.
    const TensorList masks{Tensor::empty({2})};
    select_masks_(masks, {byte}, {.count = 1, .ties = TieRule::pytorch}, {Tensor::of({0, 1})});
    CHECK(masks[0] == Tensor::of({0, 0}));
  }

  TEST_CASE("zero_selected_ changes nothing when it throws") {
    const Tensor t = Tensor::of({1, 2});
    CHECK_THROWS_AS(zero_selected_({t}, {.count = 3}), ValueError);
    CHECK(t == Tensor::of({1, 2}));
    CHECK_THROWS_AS(zero_selected_({Tensor::of({1, 2}).requires_grad_()}, {.count = 1}), StateError);
  }
}

}  // namespace
