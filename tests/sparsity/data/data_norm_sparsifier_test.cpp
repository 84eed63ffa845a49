#include "coppice/sparsity/data/data_norm_sparsifier.h"

#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine.h"
#include "coppice/sparsity/mask_ops.h"

using namespace coppice;
using namespace coppice::sparsity;

namespace {

using List = std::vector<std::int64_t>;

Tensor stepped(const Tensor& data, const DataNormOptions& options) {
  DataNormSparsifier s({{"data", data}}, options);
  s.step();
  return s.get_mask("data");
}

Arguments setting(const char* key, Argument value) {
  Arguments out;
  out.set(key, std::move(value));
  return out;
}

}  // namespace

TEST_SUITE("sparsity/data/data_norm_sparsifier") {
  TEST_CASE("1-D data, single numbers and axes of size 1 have masks of their own shape, and squash") {
    Tensor bias = Tensor::of({3, -1, 2, 4});
    DataNormSparsifier s({{"bias", bias}}, {.sparse_block_shape = {1, 1}});
    s.step();
    CHECK(s.get_mask("bias") == Tensor::of({1, 0, 0, 1}).to(Dtype::i8));
    CHECK(s.get_data("bias", false) == Tensor::of({3, 0, 0, 4}));
    CatchWarnings caught;
    s.add_data("bias", Tensor::of({1, 1, 1, 1}));
    CHECK(s.get_data("bias", false) == Tensor::of({1, 0, 0, 1}));
    DataNormSparsifier other;
    other.load_state_dict(s.state_dict());
    CHECK(other.get_data("bias", false) == Tensor::of({1, 0, 0, 1}));
    s.squash_mask();
    CHECK(bias == Tensor::of({3, -1, 2, 4}));  // it was replaced before

    CHECK(stepped(Tensor::of(5), {.sparsity_level = 1}) == zeros({}, Dtype::i8));
    CHECK(stepped(ones({1, 1}), {.sparsity_level = 0.5}) == ones({1, 1}, Dtype::i8));
    const Tensor column = Tensor::of({4, 1, 3, 2}).reshape({4, 1});
    CHECK(stepped(column, {}) == ones({4, 1}, Dtype::i8));  // one block: half of one is none
    CHECK(stepped(column, {.sparse_block_shape = {1, 2}}) ==
          Tensor::of({0, 0, 1, 1}).reshape({4, 1}).to(Dtype::i8));  // a tie of 2.5
    CHECK(stepped(arange(0, 6).reshape({1, 2, 3}), {.sparse_block_shape = {1, 3}}) ==
          Tensor::of({0, 0, 0, 1, 1, 1}).reshape({1, 2, 3}).to(Dtype::i8));
  }

  TEST_CASE("empty data have empty masks") {
    CHECK(stepped(zeros({0, 4}), {}) == zeros({0, 4}, Dtype::i8));
    CHECK(stepped(zeros({0}), {.sparsity_level = 1, .norm = "L2"}) == zeros({0}, Dtype::i8));
  }

  TEST_CASE("every type but bool; whole numbers of more than 24 bits rank exactly") {
    const Tensor numbers = Tensor::of({{4, -1, 3, -2}, {5, 6, 7, 8}});
    for (const Dtype dtype : {Dtype::f64, Dtype::f16, Dtype::bf16, Dtype::i8, Dtype::i16, Dtype::i32, Dtype::i64}) {
      CAPTURE(to_string(dtype));
      CHECK(stepped(numbers.to(dtype), {}) == Tensor::of({{0, 0, 0, 0}, {1, 1, 1, 1}}).to(Dtype::i8));
    }
    CHECK(stepped(Tensor::from(List{16777217, 16777216}, {2}), {.sparse_block_shape = {1, 1}}) ==
          Tensor::of({1, 0}).to(Dtype::i8));
    CHECK(stepped(Tensor::from(List{16777217, 16777216}, {2}), {.sparse_block_shape = {1, 1}, .norm = "L2"}) ==
          Tensor::of({1, 0}).to(Dtype::i8));
    CHECK_THROWS_AS((void)DataNormSparsifier({{"b", zeros({2, 2}, Dtype::boolean)}}), DtypeError);
  }

  TEST_CASE("masks are computed from the data anew: what was pruned may come back") {
    Tensor data = Tensor::of({{1, 2, 3, 4}});
    DataNormSparsifier s({{"data", data}}, {.sparse_block_shape = {1, 1}});
    s.step();
    const Tensor mask = s.get_mask("data");
    CHECK(mask == Tensor::of({{0, 0, 1, 1}}).to(Dtype::i8));
    data.copy_(Tensor::of({{9, 8, 3, 4}}));
    s.step();
    CHECK(mask == Tensor::of({{1, 1, 0, 0}}).to(Dtype::i8));  // the same tensor object
    s.enable_mask_update = false;
    data.copy_(Tensor::of({{1, 2, 3, 4}}));
    s.step();
    CHECK(mask == Tensor::of({{1, 1, 0, 0}}).to(Dtype::i8));
    CHECK(s.step_count() == 3);
  }

  TEST_CASE("zeros_per_block that is not set is the block of each datum, and texts show it") {
    DataNormSparsifier s;
    CHECK_FALSE(s.defaults().has("zeros_per_block"));
    s.add_data("w", Tensor::of({{1, 2}, {3, 4}}));
    s.add_data("v", Tensor::of({{1, 2}, {3, 4}}), setting("sparse_block_shape", List{2, 1}));
    CHECK_FALSE(s.group("w").has("zeros_per_block"));
    CHECK(to_string(s) ==
          "DataNormSparsifier (\n\tData Group\n\t    name: w\n\t    sparse_block_shape: (1, 4)\n\t    sparsity_level: "
          "0.5\n\t    zeros_per_block: 4\n\n\tData Group\n\t    name: v\n\t    sparse_block_shape: (2, 1)\n\t    "
          "sparsity_level: 0.5\n\t    zeros_per_block: 2\n)");
    CHECK(to_string(DataNormSparsifier()) == "DataNormSparsifier ()");
    s.step();
    CHECK(s.get_mask("v") == Tensor::of({{0, 1}, {0, 1}}).to(Dtype::i8));
  }

  TEST_CASE("what cannot be is refused when data are added") {
    DataNormSparsifier s;
    const Tensor t = ones({4, 4});
    const auto add = [&](const char* key, Argument value) { s.add_data("t", t, setting(key, std::move(value))); };
    CHECK_THROWS_AS(add("sparsity_level", std::nan("")), ValueError);
    CHECK_THROWS_AS(add("sparsity_level", std::string("half")), TypeError);
    CHECK_THROWS_AS(add("sparsity_level", Argument()), KeyError);
    for (const List& block : {List{0, 4}, List{1, -1}, List{-2, -2}, List{4}, List{1, 2, 3}, List{}})
      CHECK_THROWS_AS(add("sparse_block_shape", block), ValueError);
    CHECK_THROWS_AS(add("sparse_block_shape", List{INT64_MAX, 2}), ValueError);
    CHECK_THROWS_AS(add("zeros_per_block", std::int64_t{5}), ValueError);
    CHECK_THROWS_AS(add("zeros_per_block", std::int64_t{-1}), ValueError);
    CHECK_THROWS_AS(add("zeros_per_block", 1.5), TypeError);
    CHECK_THROWS_AS(s.add_data("cube", ones({2, 3, 4})), ShapeError);
    CHECK(s.size() == 0);
    CHECK_THROWS_AS(DataNormSparsifier({.norm = "l1"}), ValueError);
    CHECK_THROWS_WITH_AS(add("zeros_per_block", std::int64_t{5}),
                         "[DataNormSparsifier] zeros_per_block of 't' must be in 0..4 (block 1x4); got 5", ValueError);
    add("zeros_per_block", 4.0);     // a real number that is whole, as PyTorch takes it
    add("norm", std::string("L7"));  // of the sparsifier, not of a datum: kept, and without meaning
    CHECK(s.group("t").text("norm") == "L7");
  }

  TEST_CASE("a block larger than the matrix is one block, however large") {
    CHECK(stepped(ones({3, 3}), {.sparsity_level = 1, .sparse_block_shape = {1, INT64_MAX}}) ==
          zeros({3, 3}, Dtype::i8));
    CHECK(stepped(Tensor::of({{3, 1, 2}}),
                  {.sparsity_level = 1, .sparse_block_shape = {1, INT64_MAX}, .zeros_per_block = 2}) ==
          Tensor::of({{1, 0, 0}}).to(Dtype::i8));
  }

  TEST_CASE("a step with one bad setting changes no mask") {
    DataNormSparsifier s({{"a", ones({4, 4})}, {"b", ones({4, 4})}});
    s.set_config("b", "zeros_per_block", std::int64_t{9});
    CHECK_THROWS_AS(s.step(), ValueError);
    CHECK(s.get_mask("a") == ones({4, 4}));
    CHECK(s.step_count() == 0);
  }

  TEST_CASE("masks are the same for any number of threads") {
    const int before = num_threads();
    manual_seed(3);
    const Tensor data = randn({517, 203});
    for (const std::string norm : {"L1", "L2"})
      for (const std::array<std::int64_t, 2>& block :
           {std::array<std::int64_t, 2>{1, 1}, {1, 4}, {4, 4}, {16, 1}, {3, 7}})
        for (const std::int64_t zeros : {std::int64_t{1}, block[0] * block[1]}) {
          const DataNormOptions options{.sparse_block_shape = block, .zeros_per_block = zeros, .norm = norm};
          set_num_threads(1);
          const Tensor one = stepped(data, options);
          for (const int threads : {2, 7}) {
            set_num_threads(threads);
            CHECK(stepped(data, options) == one);
          }
        }
    set_num_threads(before);
  }

  TEST_CASE("pruned negative numbers are +0 once squashed, and -0 with compat; what is kept keeps its sign") {
    for (const Dtype type : {Dtype::f32, Dtype::f64, Dtype::f16, Dtype::bf16})
      for (const bool compat : {false, true}) {
        Tensor data = Tensor::of({{-1, -2, -0.0, 5, 6, 7, 8, -9}}).to(type);
        DataNormSparsifier s({{"w", data}}, {.sparsity_level = 0.375, .sparse_block_shape = {1, 1}, .compat = compat});
        s.step();
        const Tensor read = s.get_data("w", false);
        s.squash_mask();
        CHECK(data == read);
        for (std::int64_t i = 0; i < 3; ++i) CHECK(std::signbit(data.at({0, i})) == compat);
        CHECK(data.at({0, 7}) == -9);

        Tensor kept = Tensor::of({{-0.0, 1}}).to(type);
        DataNormSparsifier none({{"w", kept}}, {.sparsity_level = 0, .compat = compat});
        none.step();
        none.squash_mask();
        CHECK(std::signbit(kept.at({0, 0})));
      }
  }

  TEST_CASE("blocks of a transposed matrix are its own") {
    const Tensor data = transpose(Tensor::of({{1, 9}, {2, 8}, {3, 7}, {4, 6}}));
    CHECK(stepped(data, {}) == Tensor::of({{0, 0, 0, 0}, {1, 1, 1, 1}}).to(Dtype::i8));
  }

  TEST_CASE("rows of an embedding narrower than a block go whole") {
    manual_seed(5);
    const Tensor mask = stepped(randn({100, 3}), {.sparsity_level = 0.8});
    std::int64_t rows = 0;
    for (std::int64_t i = 0; i < 100; ++i) {
      const std::int64_t kept = count_nonzero(select(mask, 0, i));
      CHECK((kept == 0 || kept == 3));
      rows += kept == 0;
    }
    CHECK(rows == 80);
  }

  TEST_CASE("the norm goes with the state; a forged one is refused and changes nothing") {
    DataNormSparsifier l1({{"w", Tensor::of({{3, 3}, {0, 5}})}}, {.sparse_block_shape = {1, 2}});
    DataNormSparsifier other({.norm = "L2"});
    DataSparsifierState state = l1.state_dict();
    other.load_state_dict(state);
    CHECK(other.norm() == "L1");
    state.settings.set("norm", std::string("L3"));
    state.data_groups.find("w")->set("sparsity_level", 0.25);
    CHECK_THROWS_AS(other.load_state_dict(state), FormatError);
    CHECK(other.group("w").number("sparsity_level") == 0.5);
    state = l1.state_dict();
    state.data_groups.find("w")->set("sparse_block_shape", List{0, 0});
    CHECK_THROWS_AS(other.load_state_dict(state), ValueError);
    CHECK(other.group("w").integers("sparse_block_shape") == List{1, 2});
  }
}
