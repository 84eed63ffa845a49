#include "coppice/sparsity/data/data_sparsifier_state.h"

#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "sparsity/data/row_sparsifier.h"

using namespace coppice;
using namespace coppice::sparsity;
using coppice::test::RowSparsifier;
using Names = std::vector<std::string>;

namespace {

Tensor square() { return Tensor::of({{1, -2}, {3, 4}}); }

/// One datum that is masked and one that is squashed, after a step.
RowSparsifier two() {
  RowSparsifier s({{"a", square()}, {"b", square()}}, {{"x", 1.0}});
  s.step();
  s.squash_mask(Names{"b"});
  return s;
}

}  // namespace

TEST_SUITE("sparsity/data/data_sparsifier_state") {
  TEST_CASE("PyTorch's three parts: masks as coordinates, settings, data by the names of parametrizations") {
    const DataSparsifierState state = two().state_dict();
    CHECK(state.container.names() == Names{"parametrizations.a.original", "b"});
    CHECK(state.container.at("parametrizations.a.original") == square());
    CHECK(state.container.at("b") == Tensor::of({{0, 0}, {3, 4}}));
    const auto* a = state.state.find("a");
    CHECK(a->mask.indices == Tensor::from(std::vector<std::int64_t>{1, 1, 0, 1}, {2, 2}));
    CHECK(a->mask.values == Tensor::of({1, 1}));
    CHECK(a->more.integer("step_count") == 1);
    CHECK(state.data_groups.find("b")->number("x") == 1);
  }

  TEST_CASE("a state is a snapshot") {
    Tensor w = square();
    RowSparsifier s({{"w", w}}, {{"x", 1.0}});
    const DataSparsifierState state = s.state_dict();
    w.fill_(9);
    s.set_config("w", "x", 2.0);
    s.step();
    CHECK(state.container.at("parametrizations.w.original") == square());
    CHECK(state.data_groups.find("w")->number("x") == 1);
    CHECK(state.state.find("w")->mask.nnz() == 4);
    RowSparsifier other;
    other.load_state_dict(state);
    other.get_data("w").fill_(7);
    CHECK(state.container.at("parametrizations.w.original") == square());
  }

  TEST_CASE("loading brings back what was squashed as squashed; data are plain tensors then") {
    RowSparsifier s({{"p", square().requires_grad_()}}, {});
    s.load_state_dict(two().state_dict());
    CHECK(s.names() == Names{"a", "b"});
    CHECK(s.is_parametrized("a"));
    CHECK_FALSE(s.is_parametrized("b"));
    CHECK(s.get_data("b", false) == Tensor::of({{0, 0}, {3, 4}}));
    CHECK_FALSE(s.get_data("a").requires_grad());
    s.delete_data("b");
    s.step();
    CHECK(s.state("a").integer("step_count") == 2);
    CHECK(s.defaults().empty());
  }

  TEST_CASE("not strict: what is here stays as it is, the rest joins it") {
    RowSparsifier s({{"a", ones({3, 3})}, {"c", square()}}, {{"x", 5.0}});
    s.enable_mask_update = false;
    s.load_state_dict(two().state_dict(), false);
    CHECK(s.names() == Names{"a", "c", "b"});
    CHECK(s.get_data("a") == ones({3, 3}));
    CHECK(s.group("a").number("x") == 5);
    CHECK(s.group("b").number("x") == 1);
    CHECK_FALSE(s.is_parametrized("b"));
    CHECK_FALSE(s.enable_mask_update);
    s.load_state_dict(two().state_dict());
    CHECK(s.enable_mask_update);
  }

  TEST_CASE("a state that does not hold together is refused, with nothing changed") {
    RowSparsifier s({{"w", square()}}, {});
    const auto refused = [&](const DataSparsifierState& state) {
      try {
        s.load_state_dict(state);
      } catch (const Error&) {
        CHECK(s.names() == Names{"w"});
        CHECK(s.get_data("w", false) == square());
        throw;
      }
    };
    DataSparsifierState state = two().state_dict();
    state.data_groups.erase("b");
    CHECK_THROWS_AS(refused(state), FormatError);
    state = two().state_dict();
    state.container.erase("parametrizations.a.original");
    CHECK_THROWS_AS(refused(state), FormatError);
    state = two().state_dict();
    state.state.find("a")->mask = to_coo(ones({2, 3}));
    CHECK_THROWS_AS(refused(state), ShapeError);
    state = two().state_dict();
    state.state.find("a")->mask.indices.fill_(5);
    CHECK_THROWS_AS(refused(state), IndexError);
    state = two().state_dict();
    state.state.set("x.y", *state.state.find("a"));
    state.data_groups.set("x.y", {});
    state.container.add("x.y", square());
    CHECK_THROWS_AS(refused(state), KeyError);
    state = two().state_dict();
    state.data_groups.set("nobody", {});  // as in PyTorch: what has no mask is passed over
    state.container.add("nothing", square());
    s.load_state_dict(state);
    CHECK(s.names() == Names{"a", "b"});
  }
}
