// Masks of small matrices that can be followed by hand; PyTorch 1.13 and 2.13 give the same ones where nothing else is
// said.
#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine.h"
#include "coppice/sparsity/data/data_norm_sparsifier.h"

using namespace coppice;
using namespace coppice::sparsity;

namespace {

using Block = std::array<std::int64_t, 2>;
using Rows = std::initializer_list<std::initializer_list<double>>;

struct Case {
  double level = 0.5;
  Block block = {1, 4};
  std::optional<std::int64_t> zeros = std::nullopt;
  std::string norm = "L1";
  bool compat = false;
};

Tensor mask(const Tensor& data, const Case& c) {
  DataNormSparsifier s({{"data", data}}, {.sparsity_level = c.level,
                                          .sparse_block_shape = c.block,
                                          .zeros_per_block = c.zeros,
                                          .norm = c.norm,
                                          .compat = c.compat});
  s.step();
  return s.get_mask("data");
}

Tensor bits(Rows rows) { return Tensor::of(rows).to(Dtype::i8); }

const Tensor kA = Tensor::of({{1, -2, 3, 4}, {5, 6, -7, 8}, {9, 1, 1, 1}, {-2, 2, 2, -2}});
const Tensor kC = Tensor::of({{4, 4, 4, 4, 3}, {1, 1, 1, 1, 5}});
const Tensor kD = Tensor::of({{7, 1, 5}, {2, 9, 3}, {8, 4, 6}});
const Tensor kEdge = Tensor::of({{3, 3, 0, 5}, {4, 1, 4, 2}});

}  // namespace

TEST_SUITE("sparsity/data/data_norm_examples") {
  TEST_CASE("the lowest half of the blocks goes") {
    CHECK(mask(kA, {}) == bits({{0, 0, 0, 0}, {1, 1, 1, 1}, {1, 1, 1, 1}, {0, 0, 0, 0}}));
    CHECK(mask(kA, {.block = {2, 2}}) == bits({{0, 0, 1, 1}, {0, 0, 1, 1}, {1, 1, 0, 0}, {1, 1, 0, 0}}));
    CHECK(mask(kA, {.block = {4, 1}}) == bits({{1, 0, 0, 1}, {1, 0, 0, 1}, {1, 0, 0, 1}, {1, 0, 0, 1}}));
  }

  TEST_CASE("fewer zeros than cells: the smallest of each pruned block, the lower cell of equal ones") {
    CHECK(mask(kA, {.level = 1, .zeros = 2}) == bits({{0, 0, 1, 1}, {0, 0, 1, 1}, {1, 0, 0, 1}, {0, 0, 1, 1}}));
    CHECK(mask(kA, {.zeros = 2}) == bits({{0, 0, 1, 1}, {1, 1, 1, 1}, {1, 1, 1, 1}, {0, 0, 1, 1}}));
    CHECK(mask(kA, {.zeros = 0}) == ones({4, 4}, Dtype::i8));
    CHECK(mask(kA, {.level = 1, .zeros = 0}) == ones({4, 4}, Dtype::i8));
  }

  TEST_CASE("levels below 0 prune nothing; PyTorch prunes all but that share, and compat does") {
    const Tensor all = ones({4, 4}, Dtype::i8);
    for (const double level : {-0.5, -0.25, -1.0, -2.0, -0.1, 0.0, -HUGE_VAL}) CHECK(mask(kA, {.level = level}) == all);
    CHECK(mask(kA, {.level = -0.5, .compat = true}) == mask(kA, {}));
    CHECK(mask(kA, {.level = -0.25, .compat = true}) == bits({{0, 0, 0, 0}, {1, 1, 1, 1}, {0, 0, 0, 0}, {0, 0, 0, 0}}));
    for (const double level : {-1.0, -2.0, -0.1, 0.0}) CHECK(mask(kA, {.level = level, .compat = true}) == all);
    for (const double level : {1.0, 1.5, 8.0, HUGE_VAL}) CHECK(mask(kA, {.level = level}) == zeros({4, 4}, Dtype::i8));
  }

  TEST_CASE("blocks at the edge count the cells that they have") {
    CHECK(mask(kC, {.level = 0.25}) == bits({{1, 1, 1, 1, 1}, {0, 0, 0, 0, 1}}));
    CHECK(mask(kC, {}) == bits({{1, 1, 1, 1, 0}, {0, 0, 0, 0, 1}}));
    CHECK(mask(kC, {.level = 1, .zeros = 2}) == bits({{0, 0, 1, 1, 0}, {0, 0, 1, 1, 0}}));
    CHECK(mask(kD, {.block = {2, 2}}) == bits({{0, 0, 0}, {0, 0, 0}, {1, 1, 1}}));
    CHECK(mask(kD, {.block = {2, 2}, .zeros = 1}) == bits({{1, 0, 1}, {1, 1, 0}, {1, 1, 1}}));
    CHECK(mask(kD, {.level = 1, .block = {2, 2}, .zeros = 2}) == bits({{1, 0, 0}, {0, 1, 0}, {0, 0, 0}}));
    CHECK(mask(kD, {.level = 0.25, .block = {1, 3}, .zeros = 2}) == bits({{1, 0, 0}, {1, 1, 1}, {1, 1, 1}}));
    CHECK(mask(kD, {.level = 0.67, .block = {3, 1}, .zeros = 2}) == bits({{1, 0, 0}, {1, 1, 0}, {1, 0, 1}}));
    const Tensor pair = Tensor::of({{1, 2}});
    CHECK(mask(pair, {.level = 0.7, .block = {2, 3}}) == bits({{0, 0}}));
    CHECK(mask(pair, {.level = 0.5, .block = {2, 3}}) == bits({{1, 1}}));
    CHECK(mask(pair, {.level = 0.3, .block = {2, 3}}) == bits({{1, 1}}));
    CHECK(mask(pair, {.level = 0.7, .block = {2, 3}, .zeros = 1}) == bits({{0, 1}}));
  }

  TEST_CASE("L1 and L2 rank differently") {
    CHECK(mask(kEdge, {.level = 0.25, .block = {1, 2}}) == bits({{1, 1, 0, 0}, {1, 1, 1, 1}}));
    CHECK(mask(kEdge, {.level = 0.25, .block = {1, 2}, .norm = "L2"}) == bits({{1, 1, 1, 1}, {0, 0, 1, 1}}));
  }

  TEST_CASE("the number of blocks is rounded half to even") {
    const Tensor ten = arange(1, 11).reshape({1, 10});
    const std::vector<std::int64_t> pruned{0, 2, 2, 4, 4, 6, 6, 8, 8, 10};
    for (std::size_t i = 0; i < pruned.size(); ++i) {
      const double level = static_cast<double>(10 * i + 5) / 100;
      CAPTURE(level);
      const Tensor m = mask(ten, {.level = level, .block = {1, 1}});
      CHECK(10 - count_nonzero(m) == pruned[i]);
      CHECK(count_nonzero(narrow(m, 1, 0, pruned[i])) == 0);
    }
  }

  TEST_CASE("equal blocks: the lower number first, however many there are") {
    CHECK(mask(ones({1, 8}), {.block = {1, 1}}) == bits({{0, 0, 0, 0, 1, 1, 1, 1}}));
    const Tensor many = mask(ones({8, 20}), {});
    CHECK(count_nonzero(narrow(many, 0, 0, 4)) == 0);
    CHECK(count_nonzero(narrow(many, 0, 4, 4)) == 80);
    CHECK(mask(ones({1, 17}), {.block = {1, 1}}) == bits({{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1}}));
  }

  TEST_CASE("NaN goes last, of blocks and of cells") {
    CHECK(mask(Tensor::of({{NAN, 1, 2, 3}, {1, 1, 1, 1}}), {}) == bits({{1, 1, 1, 1}, {0, 0, 0, 0}}));
    CHECK(mask(Tensor::of({{NAN, 1, 2, 3}, {5, 6, 7, 8}}), {.level = 1, .zeros = 2}) ==
          bits({{1, 0, 0, 1}, {0, 0, 1, 1}}));
    // A lacking cell is one more NaN, and the places decide among them.
    CHECK(mask(Tensor::of({{NAN, 1}, {NAN, NAN}}), {.level = 1, .block = {2, 3}, .zeros = 3}) ==
          bits({{0, 0}, {1, 1}}));
    CHECK(mask(Tensor::of({{NAN, 1}, {NAN, NAN}}), {.level = 1, .block = {2, 3}, .zeros = 5}) ==
          bits({{0, 0}, {0, 0}}));
    CHECK(mask(Tensor::of({{NAN, 1}, {NAN, NAN}}), {.level = 1, .block = {2, 3}, .zeros = 4}) ==
          bits({{0, 0}, {0, 1}}));
  }

  TEST_CASE("squares that vanish or overflow rank by the numbers; PyTorch's are equal") {
    const Tensor tiny = Tensor::of({{1e-25, 1e-30, 2e-30, 1}});
    const auto cell = [](const std::string& norm, bool compat) {
      return Case{.level = 0.25, .block = {1, 1}, .norm = norm, .compat = compat};
    };
    CHECK(mask(tiny, cell("L1", false)) == bits({{1, 0, 1, 1}}));
    CHECK(mask(tiny, cell("L2", false)) == bits({{1, 0, 1, 1}}));
    CHECK(mask(tiny, cell("L2", true)) == bits({{0, 1, 1, 1}}));
    const Tensor huge = Tensor::of({{3e30, 1e30, 2e30, 4e30}});
    CHECK(mask(huge, cell("L2", false)) == bits({{1, 0, 1, 1}}));
    CHECK(mask(huge, {.level = 1, .zeros = 2, .norm = "L2"}) == bits({{1, 0, 0, 1}}));
    CHECK(mask(huge, cell("L2", true)) == bits({{0, 1, 1, 1}}));
    const Tensor wide = mul(Tensor::of({{3, 1, 2, 4}}).to(Dtype::f64), 1e300);
    CHECK(mask(wide, cell("L2", false)) == bits({{1, 0, 1, 1}}));
    CHECK(mask(wide, {.level = 0.5, .block = {1, 2}, .norm = "L2"}) == bits({{0, 0, 1, 1}}));
  }

  TEST_CASE("16-bit numbers rank exactly; with compat after rounding, as PyTorch's") {
    const Tensor data =
        Tensor::of({{2, 258}, {1, 258}}).to(Dtype::bf16);  // means 130 and 129.5, which bfloat16 has not
    CHECK(mask(data, {.block = {1, 2}}) == bits({{1, 1}, {0, 0}}));
    CHECK(mask(data, {.block = {1, 2}, .compat = true}) == bits({{0, 0}, {1, 1}}));
    const Tensor squares = Tensor::of({{300, 400}}).to(Dtype::f16);  // their squares are infinite in float16
    CHECK(mask(mul(squares, -1), {.level = 1, .zeros = 1, .norm = "L2"}) == bits({{0, 1}}));
    const Tensor falling = Tensor::of({{400, 300}}).to(Dtype::f16);
    CHECK(mask(falling, {.level = 1, .block = {1, 2}, .zeros = 1, .norm = "L2"}) == bits({{1, 0}}));
    CHECK(mask(falling, {.level = 1, .block = {1, 2}, .zeros = 1, .norm = "L2", .compat = true}) == bits({{0, 1}}));
  }
}
