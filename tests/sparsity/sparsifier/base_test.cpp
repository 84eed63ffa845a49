#include "coppice/sparsity/sparsifier/base.h"

#include <doctest/doctest.h>

#include <cmath>

#include "nn/scale.h"
#include "sparsity/sparsifier/own_sparsifiers.h"

using namespace coppice;
using namespace coppice::sparsity;
using namespace coppice::testing;
using nn::ModulePtr;
using nn::parametrize::is_parametrized;
using Names = std::vector<std::string>;

namespace {

const Arguments kDefaults{{"test", std::int64_t{3}}};

/// The text of the error of class E that f throws.
template <class E, class F>
std::string refusal(F f) {
  try {
    f();
  } catch (const E& e) {
    return e.what();
  }
  return "nothing was thrown";
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_SUITE("sparsity/sparsifier/base") {
  TEST_CASE("before prepare there is no model, no group and no state; updates are on") {
    ImplementedSparsifier s(kDefaults);
    CHECK(s.defaults() == kDefaults);
    CHECK(s.groups().empty());
    CHECK(s.state().empty());
    CHECK(s.model() == nullptr);
    CHECK(s.enable_mask_update);
    CHECK(to_string(s) == "ImplementedSparsifier ()");
    CHECK(s.state_dict() == Arguments{{"state", Arguments()}, {"groups", Arguments()}});
    s.step();
    CHECK(s.squash_mask().empty());
    CHECK_THROWS_AS(s.prepare(nullptr), ValueError);
    CHECK_THROWS_AS(s.prepare(nullptr, {}), ValueError);
    CHECK_THROWS_AS(s.attach(nullptr), ValueError);
  }

  TEST_CASE("an empty config prepares nothing, no config every Linear") {
    const ModulePtr model = simple_linear();
    ImplementedSparsifier s;
    s.prepare(model, {});
    CHECK(masked(*model).empty());
    s.prepare(model);
    CHECK(masked(*model) == Names{"seq.0", "seq.1", "seq.2", "linear1", "linear2"});
    CHECK(s.groups().size() == 5);
  }

  TEST_CASE("settings of a group: defaults in their order, then its own, which win") {
    const ModulePtr model = simple_linear();
    ImplementedSparsifier s(Arguments{{"a", std::int64_t{1}}, {"test", std::int64_t{3}}});
    s.prepare(model, {at("linear1.weight", {{"test", std::int64_t{42}}, {"z", 0.5}})});
    Names keys;
    for (const auto& [key, value] : s.groups()[0].config) keys.push_back(key);
    CHECK(keys == Names{"a", "test", "tensor_fqn", "z"});
    CHECK(s.groups()[0].config.integer("test") == 42);
    CHECK(s.defaults().integer("test") == 3);
  }

  TEST_CASE("a mask is of bool and all ones, shared by state and model, unless the config brings one") {
    const ModulePtr model = simple_linear();
    const Tensor given = eye(4);
    ImplementedSparsifier s;
    s.prepare(model, {at("linear2.weight"), at("linear1.weight", {{"mask", given}})});
    CHECK(s.groups()[0].mask() == ones({10, 4}, Dtype::boolean));
    CHECK(s.state().find("linear2.weight")->tensor("mask").is(s.groups()[0].mask()));
    CHECK(fake_sparsity(*model, "linear2")->mask().is(s.groups()[0].mask()));
    CHECK(fake_sparsity(*model, "linear1")->mask().is(given));
    s.step();
    CHECK(given == Tensor::of({{0, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}}));
    CHECK(model->find_module("linear1")->tensor("weight").dtype() == Dtype::f32);
  }

  TEST_CASE("one mask given for several tensors, or among the defaults, is no mask that they share") {
    const auto square = [] { return std::make_shared<nn::Linear>(4, 4, false); };
    const auto model = std::make_shared<nn::Sequential>(
        std::initializer_list<ModulePtr>{square(), square(), square(), square(), square()});
    const Tensor given = eye(4), all = ones({4, 4});
    ImplementedSparsifier s(Arguments{{"mask", all}});
    const Arguments own{{"mask", given}};
    s.prepare(model, {at("0.weight", own), at("1.weight", own), at("2.weight"), at("3.weight")});
    s.prepare(model, {at("4.weight", own)});  // by another call, too
    CHECK(s.groups()[0].mask().is(given));
    for (Group& group : s.groups()) CHECK(group.config.tensor("mask").is(group.mask()));
    s.groups()[0].mask().zero_();
    CHECK(s.groups()[1].mask() == eye(4));
    CHECK(s.groups()[4].mask() == eye(4));
    s.groups()[1].mask().fill_(1);
    s.groups()[2].mask().zero_();
    CHECK(s.groups()[0].mask() == zeros({4, 4}));
    CHECK(s.groups()[3].mask() == ones({4, 4}));
    CHECK(s.groups()[4].mask() == eye(4));
    CHECK(all == ones({4, 4}));
    CHECK(s.state("1.weight").tensor("mask").is(s.groups()[1].mask()));
  }

  TEST_CASE("where preparing fails for a later tensor, earlier ones are told that they lost their masks") {
    const ModulePtr model = simple_linear();
    Told s;
    CHECK_THROWS_AS(s.prepare(model, {at("seq.0.weight"), at("linear1.weight"), at("linear2.weight")}), StateError);
    CHECK(s.told == Names{"+seq.0", "+linear1", "-seq.0", "-linear1"});
    CHECK(masked(*model).empty());
    CHECK(s.groups().empty());
  }

  TEST_CASE("what cannot be prepared is refused before anything changes") {
    const ModulePtr model = simple_linear();
    ImplementedSparsifier s;
    const auto refused = [&](Arguments element) {
      return [&, element] { s.prepare(model, {at("linear1.weight"), element}); };
    };
    CHECK(has(refusal<ValueError>(refused({{"test", std::int64_t{1}}})), "tensor_fqn"));
    CHECK(has(refusal<KeyError>(refused(at("seq.7.weight"))), "'seq.7'"));
    CHECK(has(refusal<KeyError>(refused(at("seq.0.scale"))), "'scale'"));
    CHECK_THROWS_AS(refused(at("linear2.bias"))(), KeyError);  // an empty slot
    CHECK_THROWS_AS(refused(at(""))(), KeyError);
    CHECK_THROWS_AS(refused(at("a..weight"))(), KeyError);
    CHECK(has(refusal<ValueError>(refused(at("linear2.weight", {{"module_fqn", std::string("linear1")}}))),
              "module_fqn 'linear1' disagrees"));
    CHECK_THROWS_AS(refused(at("linear2.weight", {{"tensor_name", std::string("bias")}}))(), ValueError);
    CHECK_THROWS_AS(refused(at("linear2.weight", {{"mask", ones({4, 10})}}))(), ShapeError);
    CHECK_THROWS_AS(refused(at("linear2.weight", {{"mask", ones({10, 4}, Dtype::f64)}}))(), ValueError);
    CHECK_THROWS_AS(refused({{"tensor_fqn", std::int64_t{1}}})(), TypeError);
    CHECK(masked(*model).empty());
    CHECK(s.groups().empty());
    CHECK(s.model() == nullptr);
    s.prepare(model,
              {at("linear1.weight", {{"module_fqn", std::string("linear1")}, {"tensor_name", std::string("weight")}})});
    CHECK_FALSE(s.groups()[0].config.has("module_fqn"));
  }

  TEST_CASE("a tensor masked by torch.nn.utils.prune is refused by name") {
    const ModulePtr model = simple_linear();
    nn::attach_mask(*model->find_module("linear1"), "weight", eye(4));
    ImplementedSparsifier s;
    CHECK(has(refusal<StateError>([&] { s.prepare(model); }), "'linear1.weight'"));
    CHECK(masked(*model).empty());
  }

  TEST_CASE("a tensor twice in a config, or prepared already, is refused") {
    const ModulePtr model = simple_linear();
    ImplementedSparsifier s;
    CHECK(has(refusal<ValueError>([&] { s.prepare(model, {at("linear1.weight"), at("linear1.weight")}); }), "twice"));
    CHECK(masked(*model).empty());
    s.prepare(model, {at("linear1.weight")});
    CHECK_THROWS_AS(s.prepare(model), ValueError);
    s.prepare(model, {at("linear2.weight")});  // the first stays as it is
    CHECK(s.groups().size() == 2);
    const nn::Module& linear1 = *model->find_module("linear1");
    CHECK(nn::parametrize::parametrizations_of(linear1, "weight").size() == 1);
    CHECK(fake_sparsity(*model, "linear1")->mask().is(s.state("linear1.weight").tensor("mask")));
    CHECK_THROWS_AS(s.prepare(simple_linear()), StateError);
  }

  TEST_CASE("one module under two names is one tensor") {
    const auto shared = std::make_shared<nn::Linear>(2, 2);
    const ModulePtr model = std::make_shared<nn::Sequential>(std::initializer_list<ModulePtr>{shared, shared});
    ImplementedSparsifier s;
    s.prepare(model);
    CHECK(s.groups().size() == 1);
    CHECK_THROWS_AS(s.prepare(model, {at("1.weight")}), ValueError);
    s.squash_mask();
    CHECK(masked(*model).empty());
  }

  TEST_CASE("a leading dot is the same name") {
    const ModulePtr model = simple_linear();
    ImplementedSparsifier s;
    s.prepare(model, {at(".linear1.weight")});
    CHECK(s.groups()[0].module_fqn() == "linear1");
    CHECK(s.groups()[0].config.text("tensor_fqn") == "linear1.weight");
    ImplementedSparsifier root;
    root.prepare(std::make_shared<nn::Linear>(2, 2), {at(".weight")});
    CHECK(root.groups()[0].module_fqn().empty());
  }

  TEST_CASE("step does nothing while updates are off, and counts all the same") {
    const ModulePtr model = simple_linear();
    ImplementedSparsifier s;
    s.prepare(model);
    s.enable_mask_update = false;
    s.step();
    CHECK(s.groups()[0].mask() == ones({4, 4}, Dtype::boolean));
    CHECK(s.step_count() == 1);
    s.enable_mask_update = true;
    s.step();
    CHECK(count_nonzero(s.groups()[0].mask()) == 12);
    CHECK(s.step_count() == 2);
    s.reset_step_count();
    CHECK(s.step_count() == 0);
  }

  TEST_CASE("settings and tensors are checked before the first mask changes; errors name the tensor") {
    const ModulePtr model = simple_linear();
    FirstColumn s;
    CHECK(has(refusal<ValueError>([&] {
                s.prepare(model, {at("linear1.weight", {{"good", false}})});
              }),
              "at 'linear1.weight': [FirstColumn] bad"));
    s.prepare(model);
    CHECK(has(refusal<ShapeError>([&] { s.step(); }), "at 'linear2.weight': "));
    CHECK(s.groups()[0].mask() == ones({4, 4}, Dtype::boolean));
    s.groups()[3].config.set("good", false);
    CHECK_THROWS_AS(s.step(), ValueError);
    CHECK(s.groups()[0].mask() == ones({4, 4}, Dtype::boolean));
  }

  TEST_CASE("squash_mask leaves the masked values in the same tensor object, and gives settings back") {
    const ModulePtr model = simple_linear();
    nn::Module& linear1 = *model->find_module("linear1");
    const Tensor weight = linear1.tensor("weight");
    ImplementedSparsifier s(kDefaults);
    s.prepare(model, {at("linear1.weight")});
    s.step();
    const Tensor wanted = linear1.tensor("weight").detach().clone();
    CHECK(s.squash_mask().empty());
    CHECK(linear1.tensor("weight").is(weight));
    CHECK(weight == wanted);
    CHECK(weight.requires_grad());
    CHECK(s.groups().size() == 1);
    CHECK(s.state("linear1.weight").tensor("mask").at({0, 0}) == 0);

    CHECK_THROWS_AS(s.squash_mask(), StateError);
    CHECK_THROWS_AS(s.step(), StateError);
    s.prepare(model, {at("linear1.weight")});  // once more
    CHECK(s.groups().size() == 1);
    CHECK(s.groups()[0].mask() == ones({4, 4}, Dtype::boolean));
    s.squash_mask();
    s.prepare(simple_linear());  // and another model
    CHECK(s.groups().size() == 5);
  }

  TEST_CASE("a key that a group has not is refused before any layer is squashed") {
    const ModulePtr model = simple_linear();
    ImplementedSparsifier s(kDefaults);
    s.prepare(model, {at("linear1.weight"), at("linear2.weight", {{"own", 1.5}})});
    CHECK_THROWS_AS(s.squash_mask({"own"}), KeyError);
    CHECK_THROWS_AS(s.squash_mask({}, {{"linear1", {"nothing"}}}), KeyError);
    CHECK_THROWS_AS(s.squash_mask({}, {{"linear1.weight", {"test"}}}), KeyError);  // keyed by module
    CHECK(masked(*model) == Names{"linear1", "linear2"});
    const auto kept = s.squash_mask({"test"}, {{"linear2", {"own", "module_fqn", "tensor_name"}}});
    CHECK(*kept.find("linear1") == kDefaults);
    CHECK(*kept.find("linear2") == Arguments{{"test", std::int64_t{3}},
                                             {"own", 1.5},
                                             {"module_fqn", std::string("linear2")},
                                             {"tensor_name", std::string("weight")}});
  }

  TEST_CASE("the text shows groups and their settings in order of names") {
    const auto layer = std::make_shared<nn::Linear>(2, 2, false);
    ImplementedSparsifier s(Arguments{{"b", 0.5}, {"a", std::string("x")}});
    s.prepare(layer, {at("weight")});
    CHECK(to_string(s) == "ImplementedSparsifier (\n\tGroup 0\n\t    module: " + layer->describe() +
                              "\n\t    a: x\n\t    b: 0.5\n\t    module_fqn: \n\t    tensor_fqn: weight\n"
                              "\t    tensor_name: weight\n)");
  }

  TEST_CASE("masks are seen where masks are listed, burnt in, and turned into those of prune") {
    const ModulePtr model = simple_linear();
    ImplementedSparsifier s;
    s.prepare(model, {at("linear1.weight")});
    s.step();
    const auto slots = nn::masks_in(*model);
    REQUIRE(slots.size() == 1);
    CHECK(slots[0].path == "linear1.weight");
    CHECK(slots[0].mask.is(s.groups()[0].mask()));
    nn::take_fake_masks(*model);
    CHECK(nn::is_masked(*model->find_module("linear1"), "weight"));
    CHECK_THROWS_AS(s.step(), StateError);
  }
}
