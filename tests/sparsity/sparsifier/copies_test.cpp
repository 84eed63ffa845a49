// Copies of sparsifiers, and masks that a function of one's own applies.
#include <doctest/doctest.h>

#include "sparsity/sparsifier/own_sparsifiers.h"

using namespace coppice;
using namespace coppice::sparsity;
using namespace coppice::testing;
using nn::ModulePtr;
using Names = std::vector<std::string>;

namespace {

const Arguments kDefaults{{"test", std::int64_t{3}}};

/// half * mask * x.
class HalfMask final : public nn::Implements<HalfMask> {
 public:
  static constexpr std::string_view kType = "HalfMask";
  explicit HalfMask(const Tensor& mask) { register_buffer("mask", mask); }

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override {
    return mul(mul(x, tensor("mask").to(x.dtype())), 0.5);
  }
};

/// Functions that are registered once, whichever test comes first.
void register_masks() {
  static const bool once = [] {
    register_function<MaskParametrization>(
        "test.half_mask", [](const Tensor& mask) -> ModulePtr { return std::make_shared<HalfMask>(mask); });
    register_function<MaskParametrization>("test.no_mask",
                                           [](const Tensor&) -> ModulePtr { return std::make_shared<nn::Identity>(); });
    return true;
  }();
  (void)once;
}

/// With a count of its own, that a copy takes along.
class Copied final : public BaseSparsifier {
 public:
  int own = 0;

 private:
  [[nodiscard]] std::unique_ptr<BaseSparsifier> copy() const override { return std::make_unique<Copied>(*this); }
  void update_mask(Group&) override { ++own; }
};

}  // namespace

TEST_SUITE("sparsity/sparsifier/copies") {
  TEST_CASE("a group may say what applies its mask") {
    register_masks();
    const auto with = [](const char* function) {
      return at("0.weight", {{"good", true}, {"parametrization", NamedFunction{function}}});
    };
    const ModulePtr model = linear_of(Tensor::of({{4, 3}, {2, 1}}));
    FirstColumn s;
    CHECK_THROWS_AS(s.prepare(model, {with("test.nobody_knows")}), KeyError);
    CHECK_THROWS_AS(s.prepare(model, {with("test.no_mask")}), ValueError);
    CHECK(masked(*model).empty());
    CHECK(s.groups().empty());
    s.prepare(model, {with("test.half_mask")});
    CHECK_FALSE(s.groups()[0].masked_only());
    CHECK(s.groups()[0].weight() == Tensor::of({{2, 1.5}, {1, 0.5}}));
    s.step();
    CHECK(s.groups()[0].weight() == Tensor::of({{2, 0}, {1, 0}}));
    CHECK(s.groups()[0].original() == Tensor::of({{4, 3}, {2, 1}}));
    FirstColumn copy = cloned_onto(s, model->clone());
    CHECK(copy.groups()[0].attached());
    CHECK_FALSE(copy.groups()[0].mask().is(s.groups()[0].mask()));
    Arguments state = s.state_dict(), unknown = state.map("groups").map("0");
    CHECK(copy.load_state_dict(state).empty());
    unknown.set("parametrization", NamedFunction{"test.nobody_knows"});
    state.set("groups", Arguments{{"0", unknown}});
    CHECK_THROWS_AS(copy.load_state_dict(state), KeyError);
    s.squash_mask();
    CHECK(model->find_module("0")->tensor("weight") == Tensor::of({{2, 0}, {1, 0}}));
    CHECK(masked(*model).empty());
  }

  TEST_CASE("through the base a copy is made where the class says how") {
    const ModulePtr model = simple_linear();
    const auto s = std::make_shared<Copied>();
    s->prepare(model, {at("linear1.weight")});
    s->step();
    const std::shared_ptr<BaseSparsifier> base = s;
    const ModulePtr other = model->clone();
    const std::unique_ptr<BaseSparsifier> copy = base->clone_onto(other);
    CHECK(dynamic_cast<const Copied&>(*copy).own == 1);
    CHECK(copy->model() == other);
    copy->groups()[0].mask().zero_();
    CHECK(s->groups()[0].mask() == ones({4, 4}, Dtype::boolean));
    CHECK_THROWS_AS((void)base->clone_onto(simple_linear()), StateError);
    FirstColumn silent;
    CHECK_THROWS_AS((void)silent.clone_onto(other), NotSupported);
  }

  TEST_CASE("what a failing attach began is taken back") {
    const ModulePtr model = simple_linear();
    Told s;
    s.fails = false;
    s.prepare(model, {at("linear1.weight"), at("linear2.weight")});
    s.told.clear();
    s.fails = true;
    CHECK_THROWS_AS(s.attach(model->clone()), StateError);
    CHECK(s.told == Names{"+linear1", "-linear1"});
    CHECK(s.model() == model);
    CHECK(&s.groups()[0].module() == model->find_module("linear1"));
  }

  TEST_CASE("a copy for a clone of the model has masks and settings of its own") {
    const ModulePtr model = simple_linear();
    ImplementedSparsifier s(kDefaults);
    s.prepare(model, {at("linear1.weight")});
    s.enable_mask_update = false;
    const ModulePtr other = model->clone();
    ImplementedSparsifier copy = cloned_onto(s, other);
    CHECK_FALSE(copy.enable_mask_update);
    CHECK(copy.model() == other);
    copy.enable_mask_update = true;
    copy.step();
    copy.groups()[0].config.set("test", std::int64_t{7});
    CHECK(fake_sparsity(*other, "linear1")->mask().at({0, 0}) == 0);
    CHECK(copy.state("linear1.weight").tensor("mask").is(fake_sparsity(*other, "linear1")->mask()));
    CHECK(s.groups()[0].mask() == ones({4, 4}, Dtype::boolean));
    CHECK(s.groups()[0].config.integer("test") == 3);
    CHECK_FALSE(s.state("linear1.weight").has("step_count"));
    CHECK_THROWS_AS((void)cloned_onto(s, simple_linear()), StateError);
    CHECK_THROWS_AS((void)cloned_onto(s, nn::ModulePtr(std::make_shared<nn::Linear>(1, 1))), KeyError);
  }
}
