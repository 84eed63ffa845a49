#include "coppice/engine/score_stream.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "coppice/engine/create.h"
#include "coppice/engine/error.h"
#include "coppice/engine/random.h"
#include "engine/levels.h"

using namespace coppice;

namespace {

/// Scores that stand in memory, or are copied out of it, and what became of them: -1 = nothing yet.
class Stored final : public ScoreStream {
 public:
  explicit Stored(std::vector<float> scores, bool copies = true, std::int64_t cost = 1)
      : scores_(std::move(scores)), copies_(copies), cost_(cost), keep(scores_.size(), -1) {}
  [[nodiscard]] std::int64_t size() const override { return static_cast<std::int64_t>(scores_.size()); }
  [[nodiscard]] std::int64_t cost() const override { return cost_; }
  const float* read(std::int64_t first, std::int64_t n, float* buffer) const override {
    if (!copies_) return scores_.data() + first;
    std::copy_n(scores_.begin() + first, n, buffer);
    return buffer;
  }
  void write(std::int64_t first, std::int64_t n, const std::uint8_t* flags) override {
    for (std::int64_t i = 0; i < n; ++i) {
      auto& one = keep[static_cast<std::size_t>(first + i)];
      one = static_cast<int>(one == -1 || may_rewrite ? flags[i] : 7);  // 7: written twice
    }
  }

 private:
  std::vector<float> scores_;
  bool copies_;
  std::int64_t cost_;

 public:
  std::vector<int> keep;
  bool may_rewrite = false;
};

std::vector<int> by_sorting(const std::vector<float>& scores, std::int64_t count, bool magnitude) {
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) {
    const float a = magnitude ? std::abs(scores[i]) : scores[i], b = magnitude ? std::abs(scores[j]) : scores[j];
    return a < b || (!std::isnan(a) && std::isnan(b));
  });
  std::vector<int> keep(scores.size(), 1);
  for (std::int64_t i = 0; i < count; ++i) keep[order[static_cast<std::size_t>(i)]] = 0;
  return keep;
}

std::vector<int> selected(const std::vector<float>& scores, std::int64_t count, bool magnitude, bool copies = true,
                          std::int64_t cost = 1) {
  Stored stream(scores, copies, cost);
  const StreamCut cut = find_cut(stream, count, magnitude);
  write_cut(stream, cut);
  Stored once(scores, copies, cost);
  once.may_rewrite = true;
  const StreamCut same = select_once(once, count, magnitude);
  CHECK(same.key == cut.key);
  CHECK(same.take == cut.take);
  CHECK(same.equal == cut.equal);
  CHECK((once.keep == stream.keep));
  return stream.keep;
}

std::vector<float> normal(std::int64_t n) {
  const Tensor t = randn({n});
  return {t.data<float>().begin(), t.data<float>().end()};
}

/// Normal numbers with every third one replaced by the next of `values`.
std::vector<float> with(std::int64_t n, const std::vector<float>& values) {
  std::vector<float> out = normal(n);
  for (std::size_t i = 0; i < out.size(); i += 3) out[i] = values[i / 3 % values.size()];
  return out;
}

}  // namespace

TEST_SUITE("engine/score_stream") {
  TEST_CASE("the cut says the last score that is selected, and how many are equal to it") {
    Stored stream({3, 1, 2, 2, 2});
    const StreamCut cut = find_cut(stream, 3, false);
    CHECK(cut.value == 2);
    CHECK(cut.take == 2);
    CHECK(cut.equal == 3);
    write_cut(stream, cut);
    CHECK(stream.keep == std::vector<int>{1, 0, 0, 0, 1});
    CHECK(selected({3, -4, -1, 2}, 2, false) == std::vector<int>{1, 0, 0, 1});
    CHECK(selected({3, -4, -1, 2}, 2, true) == std::vector<int>{1, 1, 0, 0});
    CHECK(std::isnan(find_cut(Stored({std::nanf(""), 1}), 2, true).value));
  }

  TEST_CASE("none, all, and no scores at all") {
    CHECK(selected({2, 1}, 0, false) == std::vector<int>{1, 1});
    CHECK(selected({2, 1}, 2, false) == std::vector<int>{0, 0});
    CHECK(selected({}, 0, true).empty());
  }

  TEST_CASE("a count beyond the scores is refused") {
    CHECK_THROWS_AS((void)find_cut(Stored({1, 2}), 3, true), ValueError);
    CHECK_THROWS_AS((void)find_cut(Stored({1, 2}), -1, true), ValueError);
    Stored stream({1, 2});
    CHECK_THROWS_AS(select_once(stream, 3, true), ValueError);
    CHECK(stream.keep == std::vector<int>{-1, -1});
  }

  TEST_CASE("as a stable sort selects: by sample and by histogram, any numbers, threads, levels") {
    const test::Settings before;
    manual_seed(4);
    constexpr float inf = std::numeric_limits<float>::infinity();
    for (const std::int64_t n : {1000, 65535, 65536, 300000}) {
      const std::vector<std::vector<float>> all{
          normal(n),
          with(n, {0.0f, -0.0f}),
          with(n, {std::nanf(""), -std::nanf(""), inf, -inf}),
          with(n, {0.5f, -0.5f, 1e-45f, -1e-45f}),
          std::vector<float>(static_cast<std::size_t>(n), 1.5f),
      };
      for (std::size_t kind = 0; kind < all.size(); ++kind)
        for (const double share : {0.001, 0.2, 1.0 / 3, 0.5, 0.9, 0.9999}) {
          const auto count = static_cast<std::int64_t>(share * static_cast<double>(n));
          for (const bool magnitude : {true, false}) {
            CAPTURE(n);
            CAPTURE(kind);
            CAPTURE(share);
            CAPTURE(magnitude);
            const std::vector<int> wanted = by_sorting(all[kind], count, magnitude);
            for (const int threads : {1, 2, 7}) {
              set_num_threads(threads);
              CHECK((selected(all[kind], count, magnitude, threads == 2, threads == 7 ? 16 : 1) == wanted));
            }
          }
        }
    }
    for (const CpuLevel level : test::levels()) {
      set_cpu_level(level);
      const std::vector<float> scores = with(100000, {0.0f, -2.0f, std::nanf("")});
      CAPTURE(name_of(level));
      CHECK((selected(scores, 40000, true) == by_sorting(scores, 40000, true)));
      CHECK((selected(scores, 40000, false) == by_sorting(scores, 40000, false)));
    }
  }

  TEST_CASE("scores whose order is that of their places: few parts have all that is near the cut") {
    std::vector<float> rising(400000);
    std::iota(rising.begin(), rising.end(), 1.0f);
    CHECK((selected(rising, 123456, true) == by_sorting(rising, 123456, true)));
    std::reverse(rising.begin(), rising.end());
    CHECK((selected(rising, 300001, false) == by_sorting(rising, 300001, false)));
  }
}
