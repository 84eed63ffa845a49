#include "coppice/engine/random.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "coppice/engine/error.h"

using namespace coppice;

// The literals below were printed by PyTorch on the CPU: those of half types by 2.13, the others by 1.13.

namespace {

template <class T>
std::vector<T> uniform(Generator& g, std::size_t n, double low = 0, double high = 1) {
  std::vector<T> out(n);
  g.uniform(std::span<T>(out), low, high);
  return out;
}

template <class T>
std::vector<T> normal(Generator& g, std::size_t n, double mean = 0, double deviation = 1) {
  std::vector<T> out(n);
  g.normal(std::span<T>(out), mean, deviation);
  return out;
}

std::vector<std::int64_t> integers(Generator& g, std::size_t n, std::int64_t low, std::int64_t high) {
  std::vector<std::int64_t> out(n);
  g.integers(out, low, high);
  return out;
}

template <class T>
std::vector<float> floats(const std::vector<T>& v) {
  std::vector<float> out;
  for (const T x : v) out.push_back(static_cast<float>(x));
  return out;
}

}  // namespace

TEST_SUITE("engine/random") {
  TEST_CASE("the raw stream is MT19937 seeded with the low 32 bits") {
    std::mt19937 reference(42);
    Generator g(42), high(42 + (std::uint64_t{7} << 32));
    for (int i = 0; i < 2000; ++i) {
      const auto expected = static_cast<std::uint32_t>(reference());
      REQUIRE(g.next32() == expected);
      REQUIRE(high.next32() == expected);
    }
    CHECK(high.initial_seed() == 42 + (std::uint64_t{7} << 32));
  }

  TEST_CASE("uniform float numbers equal PyTorch's") {
    Generator g(42);
    CHECK(uniform<float>(g, 3) == std::vector<float>{0x1.c3b8ccp-1f, 0x1.d47b66p-1f, 0x1.880d7p-2f});
    g.manual_seed(0);
    CHECK(uniform<float>(g, 4) ==
          std::vector<float>{0.49625658988952637f, 0.7682217955589294f, 0.08847743272781372f, 0.13203048706054688f});
    g.manual_seed(1);
    CHECK(uniform<float>(g, 4, -0.3, 0.7) ==
          std::vector<float>{0x1.d49d6p-2f, -0x1.52f88p-6f, 0x1.a62bfp-4f, 0x1.bd1decp-2f});
    CHECK(uniform<double>(g, 2, -0.3, 0.7) == std::vector<double>{-0x1.0d4d3c666b084p-4, -0x1.f766ccec3d8a4p-4});
  }

  TEST_CASE("uniform double and half numbers equal PyTorch's") {
    Generator g(0);
    CHECK(uniform<double>(g, 2) == std::vector<double>{0.9700530018065531, 0.707819864399788});
    g.manual_seed(1);
    CHECK(floats(uniform<Half>(g, 3)) == std::vector<float>{0.7578125f, 0.279296875f, 0.403076171875f});
    CHECK(floats(uniform<BFloat16>(g, 3)) == std::vector<float>{0.734375f, 0.029296875f, 0.80078125f});
    CHECK(floats(uniform<Half>(g, 3, -0.3, 0.7)) ==
          std::vector<float>{0.09710693359375f, 0.454345703125f, 0.26953125f});
  }

  TEST_CASE("a half number that rounds to the upper end becomes the lower end") {
    Generator g(3);
    const std::vector<float> brain = floats(uniform<BFloat16>(g, 1264));
    CHECK(brain[377] == 0.326171875f);
    CHECK(brain[378] == 0);  // the draw is 0.99972558
    CHECK(floats(uniform<Half>(g, 3, 0.1, 0.1001)) ==
          std::vector<float>{0.0999755859375f, 0.10003662109375f, 0.10003662109375f});
    CHECK_THROWS_AS((void)uniform<Half>(g, 1, 0, 1e6), ValueError);  // no half number
  }

  TEST_CASE("the first weights of a seeded Linear(3, 2) are PyTorch's") {
    Generator g(0);
    const double bound = 1.0 / std::sqrt(3.0);
    CHECK(uniform<float>(g, 6, -bound, bound) == std::vector<float>{-0.004322517663240433f, 0.3097158372402191f,
                                                                    -0.4751853346824646f, -0.4248946011066437f,
                                                                    -0.2223689705133438f, 0.15482072532176971f});
    CHECK(uniform<float>(g, 2, -bound, bound) == std::vector<float>{-0.011439144611358643f, 0.45777493715286255f});
  }

  TEST_CASE("few normal numbers come in pairs and the partner waits") {
    Generator g(42);
    CHECK(normal<float>(g, 2)[0] == doctest::Approx(0.33669037));
    g.manual_seed(2);
    CHECK(normal<float>(g, 3) == std::vector<float>{0.39229682087898254f, -0.223564013838768f, -0.31950026750564575f});
    CHECK(uniform<float>(g, 1)[0] == 0.6141571998596191f);  // in between: the partner stays
    CHECK(normal<double>(g, 2, 1, 2) == std::vector<double>{-1.4100742217523266, -0.5194620996539141});
    CHECK(normal<float>(g, 1)[0] == 0.2020948827266693f);
    SUBCASE("reseeding forgets it") {
      g.manual_seed(2);
      CHECK(normal<float>(g, 1)[0] == 0.39229682087898254f);
    }
  }

  TEST_CASE("sixteen and more normal numbers come in blocks, the last block drawn anew") {
    Generator g(4);
    const std::vector<float> expected{-0.9414165019989014f,  1.263246774673462f,   0.003077709348872304f,
                                      -0.15354780852794647f, 1.1396156549453735f,  -0.23018744587898254f,
                                      1.1877325773239136f,   0.767735481262207f,   -0.7116626501083374f,
                                      0.4349432587623596f,   -0.8557909727096558f, -0.23463959991931915f,
                                      -0.4215293526649475f,  0.8488364815711975f,  -0.6775758862495422f,
                                      -0.9445412158966064f,  2.1698336601257324f,  -1.1735609769821167f};
    const std::vector<float> got = normal<float>(g, 18);
    for (std::size_t i = 0; i < expected.size(); ++i) CHECK(std::abs(got[i] - expected[i]) < 1e-6f);
    const std::vector<double> wide = normal<double>(g, 16);
    CHECK(std::abs(wide[0] - -1.5465812540055044) < 1e-14);
    CHECK(std::abs(wide[15] - 0.5808924589366362) < 1e-14);
    const std::vector<float> brain = floats(normal<BFloat16>(g, 18));
    CHECK(brain[0] == 0.2109375f);
    CHECK(brain[17] == -0.240234375f);
    CHECK(uniform<float>(g, 1)[0] ==
          0.9822975993156433f);  // as many draws as PyTorch made: no spare ones for half types
  }

  TEST_CASE("integers take one draw, or two for a range of 2^32 and more") {
    Generator g(42);
    CHECK(integers(g, 10, 0, 7) == std::vector<std::int64_t>{1, 2, 4, 5, 4, 3, 5, 5, 0, 0});
    g.manual_seed(3);
    CHECK(integers(g, 3, 0, std::int64_t{1} << 33) == std::vector<std::int64_t>{303761048, 7902520963, 521102280});
    CHECK(integers(g, 2, -5, 1'000'000'000) == std::vector<std::int64_t>{193987825, 445173510});
    const auto wide = integers(g, 100, INT64_MIN, INT64_MAX);
    CHECK(std::any_of(wide.begin(), wide.end(), [](auto v) { return v < 0; }));
    CHECK(std::any_of(wide.begin(), wide.end(), [](auto v) { return v > 0; }));
  }

  TEST_CASE("permutation is randperm") {
    Generator g(7);
    CHECK(g.permutation(8) == std::vector<std::int64_t>{7, 0, 3, 4, 1, 5, 2, 6});
    CHECK(g.permutation(0).empty());
    CHECK(g.permutation(1) == std::vector<std::int64_t>{0});
    auto p = g.permutation(1000);
    std::sort(p.begin(), p.end());
    for (std::int64_t i = 0; i < 1000; ++i) CHECK(p[static_cast<std::size_t>(i)] == i);
  }

  TEST_CASE("bernoulli is bernoulli_") {
    Generator g(3);
    std::vector<float> out(12);
    g.bernoulli(std::span<float>(out), 0.3);
    CHECK(out == std::vector<float>{1, 1, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0});
    g.bernoulli(std::span<float>(out), 0);
    CHECK(std::count(out.begin(), out.end(), 0.0f) == 12);
    g.bernoulli(std::span<float>(out), 1);
    CHECK(std::count(out.begin(), out.end(), 1.0f) == 12);
  }

  TEST_CASE("a restored state continues the stream, the kept normal number included") {
    Generator g(5);
    (void)normal<float>(g, 3);
    (void)uniform<float>(g, 700);
    const Generator::State saved = g.state();
    const auto next = normal<double>(g, 3);
    const auto later = uniform<float>(g, 1000);
    Generator other(99);
    other.set_state(saved);
    CHECK(other.initial_seed() == 5);
    CHECK(normal<double>(other, 3) == next);
    CHECK(uniform<float>(other, 1000) == later);
  }

  TEST_CASE("a state that no generator has is refused and changes nothing") {
    Generator g(5), untouched(5);
    Generator::State bad = g.state();
    bad[624] = 625;
    CHECK_THROWS_AS(g.set_state(bad), ValueError);
    CHECK_THROWS_AS(g.set_state(std::span(bad).first(100)), ValueError);
    CHECK(g.next32() == untouched.next32());
  }

  TEST_CASE("arguments outside their range are refused before anything is drawn") {
    Generator g(1), untouched(1);
    std::vector<float> out(4);
    std::vector<std::int64_t> ints(4);
    CHECK_THROWS_AS(g.uniform(std::span<float>(out), 1, 0), ValueError);
    CHECK_THROWS_AS(g.uniform(std::span<float>(out), 0, INFINITY), ValueError);
    CHECK_THROWS_AS(g.normal(std::span<float>(out), 0, -1), ValueError);
    CHECK_THROWS_AS(g.integers(ints, 3, 3), ValueError);
    CHECK_THROWS_AS(g.bernoulli(std::span<float>(out), 1.5), ValueError);
    CHECK_THROWS_AS((void)g.permutation(-1), ValueError);
    CHECK(g.next32() == untouched.next32());
  }

  TEST_CASE("manual_seed restarts the default generator") {
    manual_seed(0);
    CHECK(uniform<float>(default_generator(), 1)[0] == 0.49625658988952637f);
  }
}
