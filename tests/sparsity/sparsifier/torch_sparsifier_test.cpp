// PyTorch's test_sparsifier.py, case by case under its names.
#include <doctest/doctest.h>

#include <algorithm>

#include "coppice/sparsity/sparsifier/convert.h"
#include "coppice/sparsity/sparsifier/nearly_diagonal.h"
#include "coppice/sparsity/sparsifier/weight_norm.h"
#include "sparsity/sparsifier/models.h"

using namespace coppice;
using namespace coppice::sparsity;
using namespace coppice::testing;
using nn::ModulePtr;
using nn::parametrize::is_parametrized;

namespace {

const char* const kLayers[] = {"seq.0", "seq.1", "seq.2", "linear1", "linear2"};

class MockSparseLinear final : public nn::Implements<MockSparseLinear> {
 public:
  static constexpr std::string_view kType = "MockSparseLinear";
  explicit MockSparseLinear(const Tensor& weight) { register_parameter("weight", weight.detach().clone()); }

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return linear(x, tensor("weight")); }
};

Arguments foo_bar_baz() { return {{"foo", std::int64_t{3}}, {"bar", std::int64_t{2}}, {"baz", std::int64_t{1}}}; }

bool parametrized(const nn::Module& model, const char* layer) { return is_parametrized(*model.find_module(layer)); }

using Names = BaseSparsifier::Names;

/// Prepares two layers with foo, bar and baz, squashes them and gives what was kept; neither is parametrized then.
OrderedMap<Arguments> squash_foo_bar_baz(const Names& keep, const std::map<std::string, Names>& keep_per_layer = {}) {
  const ModulePtr model = simple_linear();
  ImplementedSparsifier s(foo_bar_baz());
  s.prepare(model, {at("linear1.weight"), at("seq.0.weight")});
  auto kept = s.squash_mask(keep, keep_per_layer);
  CHECK_FALSE(parametrized(*model, "seq.0"));
  CHECK_FALSE(parametrized(*model, "linear1"));
  return kept;
}

/// A thousand steps, before each of which the dense weight behind the first mask is drawn anew.
void step_on_random_weights(BaseSparsifier& s) {
  const NoGrad guard;
  Tensor weight = s.groups()[0].original();
  for (int i = 0; i < 1000; ++i) {
    weight.copy_(randn(weight.shape()));
    s.step();
  }
}

double mean_of(const Tensor& t) { return mean(t.to(Dtype::f64)).item(); }

template <class Sparsifier>
void test_constructor() {
  const ModulePtr model = simple_linear();
  Sparsifier sparsifier;
  sparsifier.prepare(model);
  CHECK(sparsifier.groups().size() == 5);
  for (const Group& g : sparsifier.groups()) {
    CHECK(g.module().type_name() == "Linear");
    CHECK(std::ranges::find(kLayers, g.module_fqn()) != std::end(kLayers));
  }
}

template <class Sparsifier>
void test_prepare() {
  const ModulePtr model = simple_linear();
  Sparsifier sparsifier;
  sparsifier.prepare(model);
  for (const Group& g : sparsifier.groups()) {
    CHECK(g.mask().defined());
    CHECK(is_parametrized(g.module(), "weight"));
    CHECK(fake_sparsity(*model, g.module_fqn()) != nullptr);
  }
}

template <class Sparsifier>
void test_mask_squash(Sparsifier sparsifier) {
  const ModulePtr model = simple_linear();
  sparsifier.prepare(model);
  sparsifier.step();
  std::vector<Tensor> before;
  for (const Group& g : sparsifier.groups()) before.push_back(g.weight().detach().clone());
  sparsifier.squash_mask();
  for (std::size_t i = 0; i < before.size(); ++i) {
    const Group& g = sparsifier.groups()[i];
    CHECK_FALSE(is_parametrized(g.module(), "weight"));
    CHECK_FALSE(g.module().has("mask"));
    CHECK(g.weight() == before[i]);
  }
}

/// A Linear of ones, without bias, as a child of a Sequential.
ModulePtr linear_of_ones(std::int64_t size) { return linear_of(ones({size, size})); }

}  // namespace

TEST_SUITE("sparsity/sparsifier/torch_sparsifier") {
  TEST_CASE("TestBaseSparsifier.test_constructor") {
    const ModulePtr model = simple_linear();
    ImplementedSparsifier all(Arguments{{"test", std::int64_t{3}}});
    all.prepare(model);
    CHECK(all.groups().size() == 5);
    all.step();
    ImplementedSparsifier one(Arguments{{"test", std::int64_t{3}}});
    one.prepare(simple_linear(), {at("linear1.weight")});
    REQUIRE(one.groups().size() == 1);
    CHECK(one.groups()[0].tensor_fqn() == "linear1.weight");
    CHECK(one.groups()[0].config.integer("test") == 3);
    one.step();
  }

  TEST_CASE("TestBaseSparsifier.test_prepare_config") {
    const ModulePtr model = simple_linear();
    for (const char* layer : kLayers) CHECK_FALSE(parametrized(*model, layer));
    ImplementedSparsifier s(Arguments{{"test", std::int64_t{3}}});
    s.prepare(model, {at("seq.0.weight", {{"test", std::int64_t{42}}}), at("linear2.weight")});
    REQUIRE(s.groups().size() == 2);
    CHECK(s.groups()[0].tensor_fqn() == "seq.0.weight");
    CHECK(s.groups()[0].config.integer("test") == 42);
    CHECK(s.groups()[1].tensor_fqn() == "linear2.weight");
    CHECK(s.groups()[1].config.integer("test") == 3);
    CHECK(&s.groups()[1].module() == model->find_module("linear2"));
    CHECK(parametrized(*model, "seq.0"));
    CHECK(parametrized(*model, "linear2"));
    CHECK_FALSE(parametrized(*model, "linear1"));
  }

  TEST_CASE("TestBaseSparsifier.test_step") {
    const ModulePtr model = simple_linear();
    ImplementedSparsifier s(Arguments{{"test", std::int64_t{3}}});
    s.prepare(model, {at("linear1.weight")});
    s.step();
    CHECK(count_nonzero(narrow(fake_sparsity(*model, "linear1")->mask(), 0, 0, 1)) == 0);
  }

  TEST_CASE("TestBaseSparsifier.test_state_dict") {
    const ModulePtr model0 = simple_linear(), model1 = simple_linear();
    ImplementedSparsifier s0(Arguments{{"test", std::int64_t{3}}});
    s0.prepare(model0, {at("linear1.weight")});
    Tensor mask = fake_sparsity(*model0, "linear1")->mask();
    mask.replace_(arange(0, 16, 1, Dtype::i64).reshape({4, 4}));
    for (int i = 0; i < 3; ++i) s0.step();
    CHECK(mask.at({0, 3}) == 0);
    CHECK(mask.at({3, 3}) == 15);
    const Arguments saved = s0.state_dict();
    CHECK(saved.map("state").map("linear1.weight").integer("step_count") == 3);
    CHECK(saved.map("state").map("linear1.weight").tensor("mask") == mask);
    CHECK(saved.map("groups").map("0").has("test"));
    CHECK(saved.map("groups").map("0").text("tensor_fqn") == "linear1.weight");

    ImplementedSparsifier s1(Arguments{{"test", std::int64_t{3}}});
    s1.prepare(model1);
    CHECK_FALSE(s0.state_dict() == s1.state_dict());
    CHECK_FALSE(fake_sparsity(*model0, "linear1")->mask() == fake_sparsity(*model1, "linear1")->mask());
    s1.load_state_dict(saved);
    CHECK(s0.state_dict() == s1.state_dict());
    REQUIRE(s0.groups().size() == s1.groups().size());
    CHECK(s0.groups()[0].config == s1.groups()[0].config);
    CHECK(s0.groups()[0].module_fqn() == s1.groups()[0].module_fqn());
    CHECK(s0.groups()[0].tensor_name() == s1.groups()[0].tensor_name());
    CHECK(fake_sparsity(*model0, "linear1")->mask() == fake_sparsity(*model1, "linear1")->mask());
  }

  TEST_CASE("TestBaseSparsifier.test_convert") {
    const ModulePtr model = simple_linear();
    ImplementedSparsifier s(Arguments{{"test", std::int64_t{3}}});
    s.prepare(model, {at("linear1.weight")});
    const ModulePtr converted = convert(model, {{"Linear", [](const nn::Module& dense) {
                                                   return std::make_shared<MockSparseLinear>(dense.tensor("weight"));
                                                 }}});
    CHECK(converted->child("linear1")->type_name() == "MockSparseLinear");
    CHECK(converted->find_module("seq.0")->type_name() == "Linear");
    CHECK(converted->child("linear2")->type_name() == "Linear");
  }

  TEST_CASE("TestBaseSparsifier.test_mask_squash") {
    const ModulePtr model = simple_linear();
    ImplementedSparsifier s(Arguments{{"test", std::int64_t{3}}});
    s.prepare(model, {at("linear1.weight")});
    CHECK(fake_sparsity(*model, "linear1")->mask().defined());
    CHECK(parametrized(*model, "linear1"));
    CHECK_FALSE(parametrized(*model, "seq.0"));
    s.squash_mask();
    CHECK_FALSE(parametrized(*model, "linear1"));
    CHECK_FALSE(parametrized(*model, "seq.0"));
    CHECK_FALSE(model->find_module("linear1")->has("mask"));
  }

  TEST_CASE("TestBaseSparsifier.test_mask_squash_with_params1") {
    const auto kept = squash_foo_bar_baz({}, {{"linear1", {"foo", "bar"}}, {"seq.0", {"baz"}}});
    CHECK(*kept.find("linear1") == Arguments{{"foo", std::int64_t{3}}, {"bar", std::int64_t{2}}});
    CHECK(*kept.find("seq.0") == Arguments{{"baz", std::int64_t{1}}});
  }

  TEST_CASE("TestBaseSparsifier.test_mask_squash_with_params2") {
    const auto kept = squash_foo_bar_baz({"foo", "bar"});
    for (const char* layer : {"linear1", "seq.0"})
      CHECK(*kept.find(layer) == Arguments{{"foo", std::int64_t{3}}, {"bar", std::int64_t{2}}});
  }

  TEST_CASE("TestBaseSparsifier.test_mask_squash_with_params3") {
    const auto kept = squash_foo_bar_baz({"foo", "bar"}, {{"seq.0", {"baz"}}});
    CHECK(*kept.find("seq.0") == foo_bar_baz());
    CHECK(*kept.find("linear1") == Arguments{{"foo", std::int64_t{3}}, {"bar", std::int64_t{2}}});
  }

  TEST_CASE("TestWeightNormSparsifier.test_constructor") { test_constructor<WeightNormSparsifier>(); }

  TEST_CASE("TestWeightNormSparsifier.test_step") {
    const ModulePtr model = simple_linear();
    WeightNormSparsifier s(0.5);
    s.prepare(model, {at("linear1.weight")});
    const auto& mask = *fake_sparsity(*model, "linear1");
    CHECK(mean_of(mask.mask()) == 1);
    s.step();
    CHECK(mean_of(mask.mask()) == doctest::Approx(0.5).epsilon(0.005));
    step_on_random_weights(s);
    CHECK(1 - mean_of(mask.mask()) > 0);
    CHECK(mean_of(mask.mask()) == 0.5);  // nor does it collapse to zeros, which the original names and does not check
  }

  TEST_CASE("TestWeightNormSparsifier.test_step_2_of_4") {
    const ModulePtr model = simple_linear();
    WeightNormSparsifier s(1.0, {1, 4}, 2);
    s.prepare(model, {at("linear1.weight")});
    s.step();
    const Tensor mask = fake_sparsity(*model, "linear1")->mask();
    CHECK(mean_of(mask) == doctest::Approx(0.5));
    for (std::int64_t row = 0; row < mask.size(0); ++row)
      for (std::int64_t i = 0; i < mask.size(1); i += 4)
        CHECK(count_nonzero(narrow(narrow(mask, 0, row, 1), 1, i, 4)) == 2);
  }

  TEST_CASE("TestWeightNormSparsifier.test_prepare") { test_prepare<WeightNormSparsifier>(); }

  TEST_CASE("TestWeightNormSparsifier.test_mask_squash") { test_mask_squash(WeightNormSparsifier()); }

  TEST_CASE("TestWeightNormSparsifier.test_sparsity_levels") {
    const double levels[] = {-1.0, 0.0, 0.5, 1.0, 2.0};
    const Block shapes[] = {{1, 1}, {1, 4}, {2, 2}, {4, 1}};
    for (const double level : levels)
      for (const Block shape : shapes)
        for (std::int64_t zeros = 0; zeros <= std::min<std::int64_t>(4, shape.size()); ++zeros) {
          CAPTURE(level);
          CAPTURE(shape.rows);
          CAPTURE(shape.cols);
          CAPTURE(zeros);
          const ModulePtr model = linear_of_ones(12);
          WeightNormSparsifier s(level, shape, zeros);
          s.prepare(model, {at("0.weight")});
          s.step();
          s.squash_mask();
          const double sparse = 1 - mean_of(model->find_module("0")->tensor("weight"));
          const double wanted = std::clamp(level, 0.0, 1.0) * static_cast<double>(zeros);
          CHECK(sparse == doctest::Approx(wanted / static_cast<double>(shape.size())));
        }
  }

  TEST_CASE("TestNearlyDiagonalSparsifier.test_constructor") { test_constructor<NearlyDiagonalSparsifier>(); }

  TEST_CASE("TestNearlyDiagonalSparsifier.test_step") {
    const ModulePtr model = simple_linear();
    NearlyDiagonalSparsifier s(1);
    s.prepare(model, {at("linear1.weight")});
    const auto& mask = *fake_sparsity(*model, "linear1");
    CHECK(mean_of(mask.mask()) == 1);
    s.step();
    CHECK(mask.mask().to(Dtype::f32) == eye(4));
    step_on_random_weights(s);
    CHECK(1 - mean_of(mask.mask()) > 0);
    CHECK(mask.mask().to(Dtype::f32) == eye(4));
  }

  TEST_CASE("TestNearlyDiagonalSparsifier.test_prepare") { test_prepare<NearlyDiagonalSparsifier>(); }

  TEST_CASE("TestNearlyDiagonalSparsifier.test_mask_squash") {
    test_mask_squash(NearlyDiagonalSparsifier());
    const ModulePtr model = simple_linear();
    NearlyDiagonalSparsifier s;
    s.prepare(model);
    s.step();
    s.squash_mask();
    const Tensor weight = model->find_module("linear2")->tensor("weight");
    for (std::int64_t i = 0; i < weight.size(0); ++i)
      for (std::int64_t j = 0; j < weight.size(1); ++j)
        if (i != j) CHECK(weight.at({i, j}) == 0);
  }

  TEST_CASE("TestNearlyDiagonalSparsifier.test_sparsity_levels") {
    for (std::int64_t nearliness = -1; nearliness < 100; ++nearliness) {
      CAPTURE(nearliness);
      const ModulePtr model = linear_of_ones(32);
      NearlyDiagonalSparsifier s(1);
      s.prepare(model, {at("0.weight", {{"nearliness", nearliness}})});
      if ((nearliness > 0 && nearliness % 2 == 0) || nearliness / 2 >= 32) {
        CHECK_THROWS_AS(s.step(), ValueError);
        continue;
      }
      s.step();
      s.squash_mask();
      const Tensor weight = model->find_module("0")->tensor("weight");
      bool right = true;
      for (std::int64_t i = 0; i < 32; ++i)
        for (std::int64_t j = 0; j < 32; ++j)
          right &= weight.at({i, j}) == (nearliness > 0 && std::abs(i - j) <= nearliness / 2 ? 1 : 0);
      CHECK(right);
    }
  }
}
