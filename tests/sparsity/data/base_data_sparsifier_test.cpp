#include "coppice/sparsity/data/base_data_sparsifier.h"

#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/mask_ops.h"
#include "sparsity/data/row_sparsifier.h"

using namespace coppice;
using namespace coppice::sparsity;
using coppice::test::RowSparsifier;
using Names = std::vector<std::string>;

namespace {

Tensor square() { return Tensor::of({{1, -2}, {3, 4}}); }

/// mask * x / 2, as a parametrization of a program's.
class Halved final : public nn::Implements<Halved> {
 public:
  static constexpr std::string_view kType = "test.data.Halved";
  explicit Halved(Tensor mask) { register_buffer("mask", std::move(mask)); }

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return tensor("mask") * x * 0.5; }
};

NamedFunction halved() {
  const std::string name = "test.data.halved";
  if (!is_function(name))
    register_function<MaskParametrization>(name, [](const Tensor& mask) { return std::make_shared<Halved>(mask); });
  return {name};
}

/// As CONTRIBUTING.md shows it.
class LowestRows final : public BaseDataSparsifier {
 public:
  using BaseDataSparsifier::BaseDataSparsifier;

 protected:
  void update_mask(const std::string& name, const Tensor& data, const Arguments& config) override {
    get_mask(name).replace_(mask_channels(data, channel_norms(data, 1, 0), config.integer("rows", 1), 0));
  }
};

}  // namespace

TEST_SUITE("sparsity/data/base_data_sparsifier") {
  TEST_CASE("reading multiplies, differentiably; the datum is the tensor that was given") {
    const Tensor w = square().requires_grad_();
    RowSparsifier s;
    CHECK(s.add_data("w", w) == square());
    s.step();
    CHECK(s.get_data("w").is(w));
    const Tensor masked = s.get_data("w", false);
    CHECK(masked == Tensor::of({{0, 0}, {3, 4}}));
    sum(masked).backward();
    CHECK(w.grad() == Tensor::of({{0, 0}, {1, 1}}));
  }

  TEST_CASE("a pruned NaN reads NaN, before the squash and after it") {
    Tensor w = Tensor::of({{NAN, -2}, {3, 4}});
    RowSparsifier s({{"w", w}}, {});
    s.step();
    CHECK(std::isnan(s.get_data("w", false).at({0, 0})));
    s.squash_mask();
    CHECK(std::isnan(w.at({0, 0})));
    CHECK(w.at({0, 1}) == 0);
  }

  TEST_CASE("squashing lets the caller's own tensors show the values, and keeps which tensor is which") {
    nn::Embedding embedding(2, 2);
    const Tensor weight = embedding.tensor("weight");
    Tensor base = square();
    Tensor view = base.reshape({2, 2});
    RowSparsifier s({{"emb", embedding}, {"a", base}, {"b", base}, {"view", view}}, {});
    s.step();
    s.squash_mask(Names{"emb", "a", "view"});
    CHECK(embedding.tensor("weight").is(weight));
    CHECK(weight.requires_grad());
    CHECK(weight.at({0, 0}) == 0);
    CHECK(s.get_data("b") == Tensor::of({{0, 0}, {3, 4}}));  // two names for one tensor
    CHECK(s.get_data("b").is(base));
    CHECK_FALSE(view.shares_storage(base));
    CHECK(s.names() == Names{"emb", "a", "b", "view"});
    CHECK(s.get_mask("a") == Tensor::of({{0, 0}, {1, 1}}));
    CHECK(s.get_data("a", false).is(base));
  }

  TEST_CASE("squashing to the originals leaves them alone; an empty list squashes nothing") {
    const Tensor w = square();
    RowSparsifier s({{"w", w}}, {});
    s.step();
    s.squash_mask(Names{});
    CHECK(s.is_parametrized("w"));
    s.squash_mask(std::nullopt, false);
    CHECK_FALSE(s.is_parametrized("w"));
    CHECK(w == square());
  }

  TEST_CASE("a squash that is refused squashes nothing") {
    RowSparsifier s({{"a", square()}, {"b", square()}}, {});
    CHECK_THROWS_AS(s.squash_mask(Names{"a", "c"}), ValueError);
    CHECK_THROWS_AS(s.squash_mask(Names{"a", "a"}), ValueError);
    const Tensor made = square().requires_grad_() * 2;
    s.add_data("c", made);
    CHECK_THROWS_AS(s.squash_mask(), StateError);
    for (const char* name : {"a", "b", "c"}) CHECK(s.is_parametrized(name));
    s.squash_mask(Names{"a"});
    CHECK_THROWS_AS(s.squash_mask(Names{"b", "a"}), ValueError);
    CHECK(s.is_parametrized("b"));
    CHECK_THROWS_AS(s.step(), ValueError);
    CHECK(s.get_mask("b") == ones({2, 2}));
  }

  TEST_CASE("names: empty ones, dots and one word are refused, everything else is a name") {
    RowSparsifier s;
    for (const char* name : {"", "a.b", ".", "parametrizations"}) CHECK_THROWS_AS(s.add_data(name, square()), KeyError);
    for (const char* name : {"weight", "training", "forward", "T", "1", "two words", "parametrization"})
      s.add_data(name, square());
    CHECK(s.size() == 7);
    CHECK_THROWS_AS((void)s.get_data("other"), ValueError);
    CHECK_THROWS_AS((void)s.get_mask("other"), ValueError);
    CHECK_THROWS_AS((void)s.group("other"), ValueError);
    CHECK_THROWS_AS((void)s.state("other"), ValueError);
    CHECK_THROWS_AS(s.set_config("other", "test", true), ValueError);
    CHECK_THROWS_AS(s.delete_data("other"), ValueError);
    CHECK_FALSE(s.is_parametrized("other"));
  }

  TEST_CASE("replacing keeps settings and mask, loses the state, goes to the end and warns") {
    RowSparsifier s({{"a", square()}, {"b", square()}}, {{"x", std::int64_t{1}}, {"y", std::int64_t{1}}});
    s.set_config("a", "x", std::int64_t{5});
    s.step();
    const Tensor mask = s.get_mask("a");
    CatchWarnings caught;
    s.add_data("a", ones({2, 2}), {{"y", std::int64_t{7}}});
    CHECK(caught.texts() == Names{"[add_data] 'a' exists already and is replaced"});
    CHECK(s.names() == Names{"b", "a"});
    CHECK(s.group("a") == Arguments{{"x", std::int64_t{5}}, {"y", std::int64_t{7}}});
    CHECK(s.get_mask("a").is(mask));
    CHECK_FALSE(s.state("a").has("step_count"));
    CHECK_THROWS_AS(s.add_data("a", ones({3, 3})), ShapeError);
    CHECK(s.get_data("a") == ones({2, 2}));
    CHECK(s.add_data("a", ones({3, 3}), {}, false) == ones({3, 3}));
    CHECK_FALSE(s.get_mask("a").is(mask));
    CHECK(s.group("a").integer("x") == 5);
  }

  TEST_CASE("squashed data can be replaced and deleted") {
    const Tensor w = square();
    RowSparsifier s({{"a", w}, {"b", square()}}, {});
    s.step();
    s.squash_mask();
    const CatchWarnings caught;
    CHECK(s.add_data("a", square()) == Tensor::of({{0, 0}, {3, 4}}));
    CHECK(s.is_parametrized("a"));
    s.delete_data("b");
    s.delete_data("a");
    CHECK(s.size() == 0);
    CHECK(w == Tensor::of({{0, 0}, {3, 4}}));
    s.step();
  }

  TEST_CASE("a first mask is copied for each datum; one that does not fit is refused") {
    const Tensor mask = Tensor::of({{0, 1}, {1, 1}});
    RowSparsifier s({{"a", square()}, {"b", square()}}, {{"mask", mask}});
    CHECK(s.get_data("a", false) == Tensor::of({{0, -2}, {3, 4}}));
    s.get_mask("a").fill_(1);
    CHECK(s.get_mask("b") == mask);
    CHECK_THROWS_AS(s.add_data("c", ones({3, 3})), ShapeError);
    CHECK_THROWS_AS(s.add_data("c", square(), {{"mask", mask.to(Dtype::f64)}}), ValueError);
    CHECK_FALSE(s.contains("c"));
  }

  TEST_CASE("a parametrization of a program's own, by its registered name, also after loading and copying") {
    RowSparsifier s({{"w", square()}}, {{"parametrization", halved()}});
    s.add_data("parametrization", square(), {{"parametrization", Argument()}});
    s.step();
    const Tensor half = Tensor::of({{0, 0}, {1.5, 2}});
    CHECK(s.get_data("w", false) == half);
    CHECK(s.get_data("parametrization", false) == Tensor::of({{0, 0}, {3, 4}}));
    RowSparsifier loaded;
    loaded.load_state_dict(s.state_dict());
    CHECK(loaded.get_data("w", false) == half);
    CHECK(s.clone()->get_data("w", false) == half);
    CHECK_THROWS_AS(s.add_data("v", square(), {{"parametrization", NamedFunction{"test.data.unknown"}}}), KeyError);
    CHECK_FALSE(s.contains("v"));
  }

  TEST_CASE("changing the defaults of another or the tensors given as settings does not reach what is here") {
    Arguments defaults{{"t", Tensor::of({1, 2})}};
    RowSparsifier s({{"w", square()}}, defaults);
    Tensor given = defaults.tensor("t");
    given.fill_(0);
    CHECK(s.group("w").tensor("t") == Tensor::of({1, 2}));
  }

  TEST_CASE("clone() copies data, masks, settings and counts, and can step") {
    const Tensor w = square();
    RowSparsifier s({{"w", w}, {"gone", square()}}, {{"x", 1.0}});
    s.step();
    s.squash_mask(Names{"gone"});
    s.enable_mask_update = false;
    const auto copy = s.clone();
    CHECK(copy->names() == s.names());
    CHECK_FALSE(copy->get_data("w").is(w));
    CHECK(copy->get_data("w") == w);
    CHECK(copy->get_mask("w") == s.get_mask("w"));
    CHECK_FALSE(copy->is_parametrized("gone"));
    CHECK(copy->state("w").integer("step_count") == 1);
    CHECK(copy->step_count() == 1);
    CHECK_FALSE(copy->enable_mask_update);
    copy->delete_data("gone");
    copy->enable_mask_update = true;
    copy->get_mask("w").fill_(1);
    CHECK(s.get_mask("w") == Tensor::of({{0, 0}, {1, 1}}));
    copy->step();
    CHECK(copy->get_data("w", false) == Tensor::of({{0, 0}, {3, 4}}));
  }

  TEST_CASE("one class with one function is a sparsifier; what it does not offer it says") {
    LowestRows s({{"w", square()}}, {{"word", std::string("text")}});
    s.step();
    CHECK(s.get_data("w", false) == Tensor::of({{0, 0}, {3, 4}}));
    s.set_config("w", "rows", std::int64_t{2});
    s.step();
    CHECK(s.get_mask("w") == zeros({2, 2}));
    CHECK(to_string(s) == "BaseDataSparsifier (\n\tData Group\n\t    name: w\n\t    rows: 2\n\t    word: text\n)");
    CHECK_THROWS_AS((void)s.clone(), NotSupported);
    CHECK_THROWS_AS(s.prepare(nn::Linear(2, 2)), NotSupported);
  }
}
