// Masks of blocks against a plain reference, at sizes where scores are streamed and at sizes where they are stored.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "coppice/sparsity/data/data_norm_sparsifier.h"
#include "coppice/sparsity/sparsifier/weight_norm.h"
#include "engine/levels.h"
#include "sparsity/sparsifier/masks.h"
#include "support/repeats.h"

using namespace coppice;
using namespace coppice::sparsity;
using namespace coppice::testing;

namespace {

struct Case {
  std::int64_t rows, cols;
  Block block;
  std::int64_t zeros;
  double level;
};

std::vector<std::size_t> order_of(const std::vector<float>& scores) {
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) {
    return scores[i] < scores[j] || (!std::isnan(scores[i]) && std::isnan(scores[j]));
  });
  return order;
}

/// The rule as it is written down: floats, summed row by row in each block, stable sorts.
Tensor reference(const Tensor& weight, const Case& c, int norm, std::int64_t most_blocks_left) {
  const std::span<const float> w = weight.data<float>();
  const std::int64_t down = (c.rows + c.block.rows - 1) / c.block.rows;
  const std::int64_t across = (c.cols + c.block.cols - 1) / c.block.cols;
  std::vector<float> scores;
  std::vector<std::vector<float>> cells;  // NaN outside
  for (std::int64_t d = 0; d < down; ++d)
    for (std::int64_t a = 0; a < across; ++a) {
      float sum = 0, count = 0;
      std::vector<float> block;
      for (std::int64_t r = d * c.block.rows; r < (d + 1) * c.block.rows; ++r)
        for (std::int64_t k = a * c.block.cols; k < (a + 1) * c.block.cols; ++k) {
          const bool inside = r < c.rows && k < c.cols;
          const float x = inside ? w[static_cast<std::size_t>(r * c.cols + k)] : std::nanf("");
          block.push_back(norm == 1 ? std::abs(x) : x * x);
          if (!inside) continue;
          sum += block.back();
          ++count;
        }
      scores.push_back(sum / count);
      cells.push_back(std::move(block));
    }
  const auto blocks = static_cast<double>(scores.size());
  const auto chosen = std::min(static_cast<std::int64_t>(std::nearbyint(c.level * blocks)),
                               static_cast<std::int64_t>(scores.size()) - (c.level < 1 ? most_blocks_left : 0));
  Tensor mask = ones({c.rows, c.cols});
  const std::span<float> m = mask.mutable_data<float>();
  const std::vector<std::size_t> by_score = order_of(scores);
  for (std::int64_t i = 0; i < chosen; ++i) {
    const std::size_t b = by_score[static_cast<std::size_t>(i)];
    const std::vector<std::size_t> by_cell = order_of(cells[b]);
    for (std::int64_t z = 0; z < c.zeros; ++z) {
      const auto cell = static_cast<std::int64_t>(by_cell[static_cast<std::size_t>(z)]);
      const std::int64_t r = static_cast<std::int64_t>(b) / across * c.block.rows + cell / c.block.cols;
      const std::int64_t k = static_cast<std::int64_t>(b) % across * c.block.cols + cell % c.block.cols;
      if (r < c.rows && k < c.cols) m[static_cast<std::size_t>(r * c.cols + k)] = 0;
    }
  }
  return mask;
}

/// Normal numbers, some of them zeros of both signs, many equal, and a few that are not finite.
Tensor weight_of(const Case& c, bool special) {
  Tensor out = randn({c.rows, c.cols});
  if (!special) return out;
  constexpr float inf = std::numeric_limits<float>::infinity();
  constexpr std::array<float, 10> values{0.0f, -0.0f, 1.0f, -1.0f, 1.0f,
                                         0.5f, 0.5f,  inf,  -inf,  std::numeric_limits<float>::quiet_NaN()};
  const std::span<float> w = out.mutable_data<float>();
  for (std::size_t i = 0; i < w.size(); ++i)
    if (const std::size_t pick = (i * 7919 + i / 64) % 23; pick < values.size()) w[i] = values[pick];
  return out;
}

// More than 65536 blocks of fewer than 32 cells are streamed; rows of blocks, with and without edges, and one long row.
const std::vector<Case> kCases{
    {300, 250, {1, 1}, 1, 0.5},    {512, 516, {1, 4}, 4, 0.5},   {530, 515, {1, 4}, 4, 0.3},
    {530, 515, {4, 1}, 4, 0.7},    {1027, 600, {8, 1}, 8, 0.5},  {530, 515, {2, 2}, 3, 0.5},
    {512, 516, {1, 4}, 2, 0.4},    {512, 516, {1, 4}, 2, 1.0},   {530, 515, {1, 4}, 2, 1.0},
    {530, 1100, {3, 3}, 5, 0.6},   {100, 70, {1, 1}, 1, 0.5},    {100, 70, {16, 1}, 16, 0.5},
    {97, 71, {4, 4}, 16, 0.5},     {97, 71, {5, 7}, 20, 0.5},    {4000, 130, {4000, 1}, 4000, 0.4},
    {3, 5000, {3, 2500}, 7000, 1}, {1, 300, {1, 300}, 100, 1.0}, {7, 9, {64, 64}, 40, 1.0}};

/// Masks of both families against the reference, for 1, 2 and 7 threads.
void check_masks(const Case& c, bool special, int norm) {
  CAPTURE(c.rows);
  CAPTURE(c.cols);
  CAPTURE(c.block);
  CAPTURE(c.zeros);
  CAPTURE(c.level);
  CAPTURE(special);
  CAPTURE(norm);
  const Tensor w = weight_of(c, special);
  const Tensor of_weight = reference(w, c, norm, 1);
  Case row = c;  // data norms see a column as a row, as PyTorch's do
  if (c.cols == 1) row.rows = 1, row.cols = c.rows;
  const Tensor of_data = reference(w.reshape({row.rows, row.cols}), row, norm, 0).reshape({c.rows, c.cols});
  for (const int threads : {1, 2, 7}) {
    set_num_threads(threads);
    CHECK(mask_of(WeightNormSparsifier(c.level, c.block, c.zeros, norm, TieRule::lowest_index), w) == of_weight);
    DataNormSparsifier s({{"data", w}}, {.sparsity_level = c.level,
                                         .sparse_block_shape = {c.block.rows, c.block.cols},
                                         .zeros_per_block = c.zeros,
                                         .norm = norm == 1 ? "L1" : "L2"});
    s.step();
    CHECK(s.get_mask("data").to(Dtype::f32) == of_data);
  }
}

/// Small tensors mostly, one in sixteen large enough to be streamed; blocks that need not divide them.
Case random_case(Generator& g) {
  const auto pick = [&](std::int64_t low, std::int64_t high) {  // low .. high
    return low + static_cast<std::int64_t>(g.next64() % static_cast<std::uint64_t>(high - low + 1));
  };
  Case c{};
  const bool large = pick(0, 15) == 0;
  c.rows = large ? pick(260, 600) : pick(1, 40), c.cols = large ? pick(260, 600) : pick(1, 40);
  c.block = large ? Block{pick(1, 2), pick(1, 2)} : Block{pick(1, 9), pick(1, 9)};
  c.zeros = pick(0, 2) == 0 ? pick(0, c.block.size()) : c.block.size();
  c.level = static_cast<double>(pick(0, 20)) / 20;
  return c;
}

}  // namespace

TEST_SUITE("sparsity/blocks/block_mask") {
  TEST_CASE("both families: the rule as it is written down, for 1, 2 and 7 threads") {
    const test::Settings before;
    manual_seed(12);
    for (const Case& c : kCases)
      for (const bool special : {false, true})
        for (const int norm : {1, 2}) check_masks(c, special, norm);
  }

  TEST_CASE("both families: random shapes, blocks, zeros per block and levels") {
    const test::Settings before;
    manual_seed(18);
    Generator g(18);
    for (int i = 0; i < test::repeats(200, 10'000); ++i)
      check_masks(random_case(g), g.next64() % 2 == 0, g.next64() % 2 == 0 ? 1 : 2);
  }

  TEST_CASE("weight norms at every instruction-set level") {
    const test::Settings before;
    for (const CpuLevel level : test::levels()) {
      set_cpu_level(level);
      for (const Case& c : kCases) {
        CAPTURE(name_of(level));
        CAPTURE(c.block);
        manual_seed(13);
        const Tensor w = weight_of(c, true);
        CHECK(mask_of(WeightNormSparsifier(c.level, c.block, c.zeros, 2, TieRule::lowest_index), w) ==
              reference(w, c, 2, 1));
      }
    }
  }

  TEST_CASE("a second step sees the masked weight, also where it writes the mask that it reads") {
    manual_seed(14);
    for (const Case& c : kCases)
      for (const double next : {0.25, 0.5, 0.9}) {
        CAPTURE(c.block);
        CAPTURE(next);
        const Tensor w = weight_of(c, false);
        Prepared<WeightNormSparsifier> p(WeightNormSparsifier(c.level, c.block, c.zeros, 2, TieRule::lowest_index), w);
        const Tensor first = p.step();
        p.set("sparsity_level", next);
        Case second = c;
        second.level = next;
        CHECK(p.step() == reference(mul(w, first), second, 2, 1));
      }
  }

  TEST_CASE("ties as topk decides them: as many zeros, and no block that is kept scores less than one that went") {
    manual_seed(15);
    for (const Case& c : kCases) {
      if (c.zeros != c.block.size()) continue;
      CAPTURE(c.block);
      const Tensor w = weight_of(c, true), lowest = reference(w, c, 2, 1);
      const Tensor torch = mask_of(WeightNormSparsifier(c.level, c.block, c.zeros, 2, TieRule::pytorch), w);
      if (c.rows % c.block.rows == 0 && c.cols % c.block.cols == 0)
        CHECK(count_nonzero(torch) == count_nonzero(lowest));
      if (c.block.size() > 1) continue;
      float most_pruned = 0, least_kept = std::numeric_limits<float>::infinity();
      for (std::int64_t i = 0; i < w.numel(); ++i) {
        const float size = std::abs(w.data<float>()[static_cast<std::size_t>(i)]);
        if (std::isnan(size)) continue;
        if (torch.data<float>()[static_cast<std::size_t>(i)] == 0)
          most_pruned = std::max(most_pruned, size);
        else
          least_kept = std::min(least_kept, size);
      }
      CHECK(most_pruned <= least_kept);
    }
  }

  TEST_CASE("data norms of many blocks rank squares that leave the range by the size of their numbers") {
    // 70,000 rows of four: squares of the first half vanish, of the second overflow.
    for (const Block block : {Block{1, 1}, Block{1, 4}, Block{2, 2}})
      for (const double level : {0.25, 0.75}) {
        CAPTURE(block);
        CAPTURE(level);
        Tensor w = Tensor::empty({140000, 4});
        for (std::int64_t i = 0; i < w.numel(); ++i) {
          const auto part = static_cast<float>(i / 8 * 8);  // the same for all cells of a block
          w.mutable_data<float>()[static_cast<std::size_t>(i)] =
              i < w.numel() / 2 ? part * 1e-30f : 1e25f + part * 1e19f;
        }
        DataNormSparsifier s({{"data", w}}, {.sparsity_level = level, .sparse_block_shape = {block.rows, block.cols}});
        s.step();
        const Tensor mask = s.get_mask("data");
        const auto cut = static_cast<std::int64_t>(level * static_cast<double>(w.numel()));
        CHECK(count_nonzero(mask) == w.numel() - cut);
        CHECK(std::ranges::count(mask.data<std::int8_t>().first(static_cast<std::size_t>(cut)), 0) == cut);
      }
  }
}
