#include "coppice/sparsity/sparsifier/config.h"

#include <doctest/doctest.h>

#include <cmath>

#include "sparsity/sparsifier/models.h"

using namespace coppice;
using namespace coppice::sparsity;
using nn::Linear, nn::ModulePtr, nn::Sequential;
using Names = std::vector<std::string>;

namespace {

Names names(const SparsifierConfig& config) {
  Names out;
  for (const Arguments& element : config) out.push_back(element.text("tensor_fqn"));
  return out;
}

ModulePtr linear() { return std::make_shared<Linear>(2, 2); }
using Named = std::pair<std::string, ModulePtr>;
ModulePtr named(std::initializer_list<Named> children) { return std::make_shared<Sequential>(children); }
ModulePtr list(std::initializer_list<ModulePtr> children) { return std::make_shared<Sequential>(children); }

}  // namespace

TEST_SUITE("sparsity/sparsifier/config") {
  TEST_CASE("make_config_from_model lists weights in PyTorch's order") {
    CHECK(names(make_config_from_model(*testing::simple_linear())) ==
          Names{"linear1.weight", "linear2.weight", "seq.0.weight", "seq.1.weight", "seq.2.weight"});
    const ModulePtr nested = named({Named{"a", list({linear(), list({linear()})})}, Named{"b", linear()},
                                    Named{"c", list({linear(), linear()})}, Named{"d", linear()}});
    CHECK(names(make_config_from_model(*nested)) ==
          Names{"b.weight", "d.weight", "c.0.weight", "c.1.weight", "a.0.weight", "a.1.0.weight"});
  }

  TEST_CASE("a model that is a Linear gives nothing; other types are listed where they are asked for") {
    CHECK(make_config_from_model(Linear(2, 2)).empty());
    const ModulePtr mixed = list({linear(), std::make_shared<nn::Conv2d>(1, 1, 1)});
    CHECK(names(make_config_from_model(*mixed)) == Names{"0.weight"});
    CHECK(names(make_config_from_model(*mixed, {"Conv2d"})) == Names{"1.weight"});
  }

  TEST_CASE("a module in several places counts once, under its first name") {
    const ModulePtr shared = linear();
    CHECK(names(make_config_from_model(*list({shared, shared}))) == Names{"0.weight"});
    CHECK(names(make_config_from_model(*named({Named{"a", list({shared})}, Named{"b", list({shared})}}))) ==
          Names{"a.0.weight"});
  }

  TEST_CASE("Block::parse reads what to_string writes, and nothing else") {
    CHECK(Block::parse("16x1") == Block{16, 1});
    CHECK(to_string(Block::parse("1x4")) == "1x4");
    for (const char* text : {"", "x", "4", "4x", "x4", "4x4x4", "4 x 4", "4X4", "+4x4", "1.5x4", "4x4 ", "0x4", "4x0",
                             "-1x4", "4x-1", "9223372036854775808x1", "9223372036854775807x2"}) {
      CAPTURE(text);
      CHECK_THROWS_AS((void)Block::parse(text), ValueError);
    }
  }

  TEST_CASE("read_sparsity_level takes any number but NaN") {
    const auto level = [](Argument value) { return read_sparsity_level({{"sparsity_level", std::move(value)}}); };
    CHECK(level(0.25) == 0.25);
    CHECK(level(std::int64_t{2}) == 2);
    CHECK(level(-HUGE_VAL) == -HUGE_VAL);
    CHECK_THROWS_AS((void)level(std::nan("")), ValueError);
    CHECK_THROWS_AS((void)level(std::string("half")), TypeError);
    CHECK_THROWS_AS((void)read_sparsity_level({}), KeyError);
  }

  TEST_CASE("read_sparse_block_shape takes two sides of at least 1") {
    using Sides = std::vector<std::int64_t>;
    const auto block = [](Sides sides) { return read_sparse_block_shape({{"sparse_block_shape", std::move(sides)}}); };
    CHECK(block({16, 1}) == Block{16, 1});
    CHECK(to_string(block({16, 1})) == "16x1");
    CHECK(block({16, 2}).size() == 32);
    for (const Sides& bad : {Sides{}, Sides{4}, Sides{1, 2, 3}, Sides{0, 4}, Sides{4, 0}, Sides{-1, -4},
                             Sides{INT64_MAX, 2}, Sides{std::int64_t{1} << 40, std::int64_t{1} << 40}}) {
      CAPTURE(bad.size());
      CHECK_THROWS_AS((void)block(bad), ValueError);
    }
    CHECK_THROWS_AS((void)read_sparse_block_shape({{"sparse_block_shape", std::string("4x1")}}), TypeError);
    CHECK_THROWS_AS((void)read_sparse_block_shape({}), KeyError);
  }
}
