#include "../../engine/src/select/select.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <vector>

#include "coppice/engine/cpu.h"
#include "coppice/engine/error.h"
#include "coppice/engine/parallel.h"
#include "coppice/engine/random.h"
#include "engine/levels.h"
#include "support/repeats.h"

using namespace coppice;
using namespace coppice::selection;
using coppice::test::Settings;

namespace {

template <class T>
Scores scores_of(const std::vector<T>& v) {
  return {.data = v.data(), .dtype = dtype_of<T>, .size = static_cast<std::int64_t>(v.size())};
}

template <class T>
bool before(T a, T b, Ranking r) {  // strict rank order of values
  const auto x = r.magnitude && a < T{} ? -a : a, y = r.magnitude && b < T{} ? -b : b;
  const bool nx = x != x, ny = y != y;
  const bool less = !nx && (ny || x < y), greater = !ny && (nx || x > y);
  return r.largest ? greater : less;
}

/// Mask by a stable sort of positions.
template <class T>
std::vector<float> reference(const std::vector<T>& v, std::int64_t k, Ranking r,
                             const std::vector<float>& eligible = {}) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < v.size(); ++i)
    if (eligible.empty() || eligible[i] != 0) order.push_back(i);
  std::stable_sort(order.begin(), order.end(), [&](auto i, auto j) { return before(v[i], v[j], r); });
  std::vector<float> mask = eligible.empty() ? std::vector<float>(v.size(), 1.0f) : eligible;
  for (std::int64_t i = 0; i < k; ++i) mask[order[static_cast<std::size_t>(i)]] = 0;
  return mask;
}

/// Mask by the kernel, with the data cut into spans of uneven length.
template <class T>
std::vector<float> kernel(const std::vector<T>& v, std::int64_t k, Ranking r, const std::vector<float>& eligible = {},
                          TieRule ties = TieRule::lowest_index, int spans = 3) {
  std::vector<float> mask(v.size(), -7.0f);
  std::vector<Scores> in;
  std::vector<MaskOut> out;
  const auto n = static_cast<std::int64_t>(v.size());
  for (int s = 0; s < spans; ++s) {
    const std::int64_t from = n * s * s / (spans * spans), to = n * (s + 1) * (s + 1) / (spans * spans);
    in.push_back({v.data() + from, dtype_of<T>, to - from, eligible.empty() ? nullptr : eligible.data() + from});
    out.push_back({mask.data() + from, Dtype::f32});
  }
  select_masks(in, k, r, ties, out);
  return mask;
}

std::set<std::int64_t> topk_set(const std::vector<float>& v, std::int64_t k, bool largest) {
  const std::vector<Scores> s{scores_of(v)};
  const auto at = pytorch_topk(s, k, {.magnitude = false, .largest = largest});
  return {at.begin(), at.end()};
}

using Positions = std::set<std::int64_t>;
const std::vector<Ranking> kRankings{{true, false}, {false, false}, {true, true}, {false, true}};

}  // namespace

TEST_SUITE("engine/select_kernel") {
  TEST_CASE("exactly k are selected, among equal scores the lower index first") {
    Generator g(1);
    std::vector<std::int64_t> draw(2);
    for (int repeat = 0; repeat < test::repeats(200, 5000); ++repeat) {
      g.integers(draw, 0, 60);
      std::vector<float> v(static_cast<std::size_t>(draw[0]));
      std::vector<std::int64_t> raw(v.size());
      g.integers(raw, -4, 5);  // many ties
      for (std::size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>(raw[i]) * 0.25f;
      const std::int64_t k = draw[0] == 0 ? 0 : draw[1] % (draw[0] + 1);
      for (const Ranking r : kRankings) {
        CAPTURE(draw[0]);
        CAPTURE(k);
        CHECK(kernel(v, k, r) == reference(v, k, r));
      }
    }
  }

  TEST_CASE("NaN ranks above every number and both zeros are equal") {
    const std::vector<float> v{1, NAN, -0.0f, 0.0f, -INFINITY, -NAN, INFINITY, -2};
    for (const Ranking r : kRankings)
      for (std::int64_t k = 0; k <= 8; ++k) CHECK(kernel(v, k, r) == reference(v, k, r));
    CHECK(kernel(v, 6, {}) == std::vector<float>{0, 1, 0, 0, 0, 1, 0, 0});
    CHECK(kernel(v, 1, {.magnitude = false}) == std::vector<float>{1, 1, 1, 1, 0, 1, 1, 1});
    CHECK(kernel(v, 2, {.largest = true}) == std::vector<float>{1, 0, 1, 1, 1, 0, 1, 1});
  }

  TEST_CASE_TEMPLATE("integers and double rank by value", T, double, std::int8_t, std::uint8_t, std::int16_t,
                     std::int32_t, std::int64_t) {
    std::vector<T> v{3, 1, 0, 7, 1, 100, 90, 2, 2, 3};
    if constexpr (std::is_signed_v<T>)
      for (std::size_t i = 0; i < v.size(); i += 2) v[i] = static_cast<T>(-v[i]);
    if constexpr (sizeof(T) == 8) {  // differences that a float does not hold
      v.push_back(static_cast<T>((std::int64_t{1} << 52) + 1));
      v.push_back(static_cast<T>(std::int64_t{1} << 52));
    }
    for (const Ranking r : kRankings)
      for (std::int64_t k = 0; k <= static_cast<std::int64_t>(v.size()); ++k)
        CHECK(kernel(v, k, r) == reference(v, k, r));
  }

  TEST_CASE("the ends of the integer range have their place") {
    const std::vector<std::int64_t> v{5, INT64_MAX, INT64_MIN, -1};
    CHECK(kernel(v, 1, {.magnitude = false}) == std::vector<float>{1, 1, 0, 1});
    CHECK(kernel(v, 3, {.magnitude = false}) == std::vector<float>{0, 1, 0, 0});
    CHECK(kernel(v, 2, {}) == std::vector<float>{0, 1, 1, 0});
    CHECK(kernel(v, 4, {}) == std::vector<float>{0, 0, 0, 0});
  }

  TEST_CASE("half types rank by value and spans of different types mix") {
    const std::vector<Half> h{Half(0.5f), Half(-3.0f)};
    const std::vector<BFloat16> b{BFloat16(-0.25f), BFloat16(2.0f)};
    const std::vector<std::int8_t> i{1, -4};
    const std::vector<double> d{0.3, 1e-300};
    std::vector<float> m1(2), m4(2);
    std::vector<Half> m2(2);
    std::vector<std::uint8_t> m3(2);
    const std::vector<Scores> in{scores_of(h), scores_of(b), scores_of(i), scores_of(d)};
    const std::vector<MaskOut> out{
        {m1.data(), Dtype::f32}, {m2.data(), Dtype::f16}, {m3.data(), Dtype::boolean}, {m4.data(), Dtype::f32}};
    const Cut cut = find_cut(in, 4, {});
    CHECK(value_of(cut, in) == 0.5);
    write_masks(in, cut, out);
    CHECK(m1 == std::vector<float>{0, 1});
    CHECK(m2[0].bits == 0);
    CHECK(static_cast<float>(m2[1]) == 1.0f);
    CHECK(m3 == std::vector<std::uint8_t>{1, 1});
    CHECK(m4 == std::vector<float>{0, 0});
    const std::vector<Scores> floats{scores_of(h), scores_of(b)};
    CHECK(value_of(find_cut(floats, 1, {.magnitude = false}), floats) == -3);
    CHECK(value_of(find_cut(floats, 1, {.magnitude = true, .largest = true}), floats) == 3);
    const std::vector<std::int64_t> wide{-9, 4};
    const std::vector<Scores> ints{scores_of(wide)};
    CHECK(value_of(find_cut(ints, 1, {.magnitude = false}), ints) == -9);
    CHECK(value_of(find_cut(ints, 1, {.magnitude = true, .largest = true}), ints) == 9);
  }

  TEST_CASE("what takes no part is neither counted nor kept") {
    Generator g(2);
    std::vector<float> v(500), eligible(500);
    g.uniform(std::span(v), -1, 1);
    g.bernoulli(std::span(eligible), 0.4);
    const auto part = std::count(eligible.begin(), eligible.end(), 1.0f);
    for (const Ranking r : kRankings)
      for (const std::int64_t k : {std::int64_t{0}, std::int64_t{1}, part / 2, part})
        CHECK(kernel(v, k, r, eligible) == reference(v, k, r, eligible));
    CHECK_THROWS_AS((void)kernel(v, part + 1, {}, eligible), ValueError);
    SUBCASE("a mask may be updated in place") {
      const auto want = reference(v, part / 3, {}, eligible);
      const std::vector<Scores> in{{v.data(), Dtype::f32, 500, eligible.data(), Dtype::f32}};
      const std::vector<MaskOut> out{{eligible.data(), Dtype::f32}};
      select_masks(in, part / 3, {}, TieRule::lowest_index, out);
      CHECK(eligible == want);
    }
  }

  TEST_CASE("large inputs: random, with many ties, all equal, sorted; every level and thread count") {
    const Settings restore;
    const std::size_t n = (1 << 19) + 12345;
    std::vector<std::vector<float>> inputs(5, std::vector<float>(n));
    Generator g(3);
    g.normal(std::span(inputs[0]));
    for (std::size_t i = 0; i < n; ++i) {
      inputs[1][i] = std::round(inputs[0][i] * 8);  // the bracket of the sample overflows
      inputs[2][i] = -0.5f;
      inputs[3][i] = static_cast<float>(i) * 1e-6f;
      inputs[4][i] =
          i % 1000 == 0 ? inputs[0][i] : std::bit_cast<float>(0x3f800000u + static_cast<std::uint32_t>(i % 3));
    }
    for (const auto& v : inputs)
      for (const double share : {0.0001, 0.5, 0.9, 1.0}) {
        const auto k = static_cast<std::int64_t>(share * static_cast<double>(n));
        const auto want = reference(v, k, {});
        set_num_threads(1);
        set_cpu_level(restore.level);
        CHECK(kernel(v, k, {}) == want);
        set_num_threads(7);
        if (best_cpu_level() >= CpuLevel::v2) set_cpu_level(CpuLevel::v2);
        CHECK(kernel(v, k, {}) == want);
        if (best_cpu_level() >= CpuLevel::v3) set_cpu_level(CpuLevel::v3);
        CHECK(kernel(v, k, {}) == want);
      }
    const std::vector<double> wide(inputs[1].begin(), inputs[1].end());
    const auto k = static_cast<std::int64_t>(n / 3);
    CHECK(kernel(wide, k, {.magnitude = false}) == reference(wide, k, {.magnitude = false}));
  }

  TEST_CASE("the pytorch rule takes the same ones of equal scores as torch.topk") {
    const auto ones = [](std::size_t n) { return std::vector<float>(n, 1.0f); };
    for (const bool largest : {false, true}) {
      CHECK(topk_set(ones(4), 1, largest) == Positions{2});
      CHECK(topk_set(ones(4), 2, largest) == Positions{2, 3});
      CHECK(topk_set(ones(4), 3, largest) == Positions{0, 2, 3});
      CHECK(topk_set(ones(5), 2, largest) == Positions{2, 4});
      CHECK(topk_set(ones(6), 1, largest) == Positions{3});
      CHECK(topk_set(ones(6), 2, largest) == Positions{3, 5});
      CHECK(topk_set(ones(7), 3, largest) == Positions{3, 4, 5});
      CHECK(topk_set(ones(8), 4, largest) == Positions{4, 5, 6, 7});
      CHECK(topk_set(ones(10), 4, largest) == Positions{5, 6, 7, 8});
      CHECK(topk_set(ones(12), 2, largest) == Positions{7, 9});
      CHECK(topk_set(ones(16), 2, largest) == Positions{10, 11});
      CHECK(topk_set(ones(20), 2, largest) == Positions{12, 14});
      CHECK(topk_set(ones(35), 2, largest) == Positions{22, 24});
      CHECK(topk_set(ones(64), 1, largest) == Positions{0});
      CHECK(topk_set(ones(128), 2, largest) == Positions{0, 1});
      CHECK(topk_set(ones(200), 3, largest) == Positions{0, 1, 2});
      CHECK(topk_set(ones(100), 10, largest) == Positions{63, 64, 65, 66, 67, 68, 69, 72, 73, 74});
    }
    const std::vector<float> v{1, NAN, 0, 2};
    const std::vector<Scores> s{scores_of(v)};
    CHECK(pytorch_topk(s, 2, {.magnitude = false}) == std::vector<std::int64_t>{2, 0});
    CHECK(pytorch_topk(s, 2, {.magnitude = false, .largest = true}) == std::vector<std::int64_t>{1, 3});
    CHECK(topk_set({0.0f, -0.0f}, 1, false) == Positions{0});
  }

  TEST_CASE("the pytorch rule selects the same values as the other one") {
    Generator g(4);
    for (const std::int64_t n : {1, 10, 700, 20'000}) {
      std::vector<float> v(static_cast<std::size_t>(n)), eligible(v.size());
      g.normal(std::span(v));
      for (float& x : v) x = std::round(x * 4);
      g.bernoulli(std::span(eligible), 0.7);
      const auto part = std::count(eligible.begin(), eligible.end(), 1.0f);
      for (const Ranking r : kRankings)
        for (const std::int64_t k : {std::int64_t{0}, part / 100, part / 2, part}) {
          const auto a = kernel(v, k, r, eligible, TieRule::pytorch), b = kernel(v, k, r, eligible);
          std::multiset<float> kept_a, kept_b;
          for (std::size_t i = 0; i < v.size(); ++i) {
            if (a[i] != 0) kept_a.insert(r.magnitude ? std::abs(v[i]) : v[i]);
            if (b[i] != 0) kept_b.insert(r.magnitude ? std::abs(v[i]) : v[i]);
            REQUIRE((eligible[i] != 0 || a[i] == 0));
          }
          CHECK(kept_a == kept_b);
        }
    }
  }

  TEST_CASE("a count outside its range is refused and nothing is written") {
    const std::vector<float> v{1, 2, 3};
    std::vector<float> mask(3, 9.0f);
    const std::vector<Scores> in{scores_of(v)};
    const std::vector<MaskOut> out{{mask.data(), Dtype::f32}};
    for (const TieRule rule : {TieRule::lowest_index, TieRule::pytorch}) {
      CHECK_THROWS_AS(select_masks(in, -1, {}, rule, out), ValueError);
      CHECK_THROWS_AS(select_masks(in, 4, {}, rule, out), ValueError);
    }
    CHECK(mask == std::vector<float>(3, 9.0f));
    select_masks({}, 0, {}, TieRule::lowest_index, {});
    CHECK_THROWS_AS(select_masks({}, 1, {}, TieRule::lowest_index, {}), ValueError);
  }
}
