#include "coppice/sparsity/activation/activation_sparsifier.h"

#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "sparsity/activation/identities.h"

using namespace coppice;
using namespace coppice::test;

TEST_SUITE("sparsity/activation/activation_sparsifier") {
  TEST_CASE("an example by hand: collect, step, squash") {
    const auto model = identities(1);
    ActivationSparsifier s(*model, kOptions);
    s.register_layer(*model->at(0));
    CHECK((*model)(kX1) == kX1);
    CHECK(one(s.data("0")) == kX1);
    CHECK(one(s.get_mask("0")) == ones({2, 4}));
    (void)(*model)(kX2);
    CHECK(one(s.data("0")) == Tensor::of({{1, 0, 4, 0}, {0, 7, 0, 9}}));
    s.step();
    CHECK(one(s.get_mask("0")) == Tensor::of({0, 1, 0, 1}));
    CHECK(one(s.get_mask(*model->at(0))) == Tensor::of({0, 1, 0, 1}));
    s.squash_mask();
    CHECK((*model)(kX1) == Tensor::of({{0, -2, 0, -4}, {0, 6, 0, 8}}));
    CHECK((*model)(Tensor::of({{1, 2, 3, 4}})) == Tensor::of({{0, 2, 0, 4}}));  // any batch
  }

  TEST_CASE("a pass after a step begins anew, with another mask") {
    const auto model = identities(1);
    ActivationSparsifier s(*model, kOptions);
    s.register_layer(*model->at(0));
    (void)(*model)(kX1);
    const Tensor mask = one(s.get_mask("0"));
    s.step();
    CHECK(one(s.get_mask("0")).is(mask));
    (void)(*model)(kX2);
    CHECK(one(s.get_mask("0")) == ones({2, 4}));
    CHECK_FALSE(one(s.get_mask("0")).is(mask));
    CHECK(mask == Tensor::of({1, 0, 0, 1}));  // of 3, 2, -2, 2
    CHECK(one(s.data("0")) == kX2);
  }

  TEST_CASE("a step needs every layer to have been reached, and otherwise makes no mask") {
    const auto model = identities(2);
    ActivationSparsifier s(*model, kOptions);
    s.step();  // nobody: nothing to do
    s.register_layer(*model->at(0));
    s.register_layer(*model->at(1));
    CHECK_THROWS_AS(s.step(), StateError);
    (void)(*model->at(0))(kX1);
    CHECK_THROWS_WITH_AS(s.step(), "[step] no forward pass has reached '1' since the last step", StateError);
    CHECK(one(s.get_mask("0")) == ones({2, 4}));
    CHECK(one(s.data("0")) == kX1);
    (void)(*model->at(1))(kX1);
    s.step();
    CHECK_THROWS_AS(s.step(), StateError);
  }

  TEST_CASE("a function that fails in a step leaves all masks and what was collected") {
    const auto model = identities(2);
    ActivationSparsifier s(*model, kOptions);
    s.register_layer(*model->at(0));
    const std::function<MaskSignature> refuses = [](const Tensor&, const Arguments&) -> Tensor {
      throw ValueError("no");
    };
    s.register_layer(*model->at(1), {.mask_fn = MaskFunction(refuses)});
    (void)(*model)(kX1);
    CHECK_THROWS_AS(s.step(), ValueError);
    CHECK(one(s.get_mask("0")) == ones({2, 4}));
    CHECK(one(s.data("0")) == kX1);
  }

  TEST_CASE("options go over defaults, settings key by key; layers do not share them") {
    const auto model = identities(2);
    ActivationOptions defaults = kOptions;
    defaults.features = Features{0};
    defaults.feature_dim = 1;
    ActivationSparsifier s(*model, defaults);
    s.register_layer(*model->at(0), {.feature_dim = 0, .sparse_config = {{"sparsity_level", 0.25}}});
    s.register_layer(*model->at(1), {.features = Features{2, 3}});
    CHECK(s.group("0").features == Features{0});
    CHECK(s.group("0").feature_dim == 0);
    CHECK(s.group("0").sparse_config.number("sparsity_level") == 0.25);
    CHECK(s.group("0").mask_fn == kOptions.mask_fn);
    CHECK(s.group("1").features == Features{2, 3});
    CHECK(s.group("1").sparse_config.number("sparsity_level") == 0.5);
    CHECK(s.defaults().feature_dim == 1);
    // The defaults' settings are the function's too, and this one has none of that name.
    const CatchWarnings caught;
    CHECK_THROWS_AS(s.register_layer(*model->at(0), {.mask_fn = MaskFunction("coppice.threshold"),
                                                     .sparse_config = {{"threshold", 1.0}}}),
                    TypeError);
  }

  TEST_CASE("a layer that is registered again begins anew, with a warning; a bad registration changes nothing") {
    const auto model = identities(1);
    ActivationSparsifier s(*model, kOptions);
    s.register_layer(*model->at(0));
    (void)(*model)(kX1);
    const CatchWarnings caught;
    CHECK_THROWS_AS(s.register_layer(*model->at(0), {.features = Features{0}}), ValueError);
    CHECK(one(s.data("0")) == kX1);
    CHECK(caught.texts().empty());
    s.register_layer(*model->at(0), {.sparse_config = {{"sparsity_level", 0.25}}});
    CHECK(caught.texts() == Names{"[register_layer] '0' is registered already, and is registered anew"});
    CHECK(model->at(0)->forward_pre_hooks().size() == 1);
    CHECK(std::holds_alternative<std::monostate>(s.data("0")));
    CHECK(s.group("0").sparse_config.number("sparsity_level") == 0.25);
    CHECK(s.defaults().sparse_config.number("sparsity_level") == 0.5);
  }

  TEST_CASE("squashing: before a pass refused, twice the same, without a hook nothing is masked") {
    const auto model = identities(2);
    ActivationSparsifier s(*model, kOptions);
    s.register_layer(*model->at(0));
    s.register_layer(*model->at(1));
    (void)(*model->at(0))(kX1);
    CHECK_THROWS_AS(s.squash_mask(), ValueError);
    CHECK(s.hook_state("0") == HookState::aggregate);
    (void)(*model->at(1))(kX1);
    s.squash_mask();
    s.squash_mask();
    CHECK(model->at(0)->forward_pre_hooks().size() == 1);
    CHECK(s.hook_state("0") == HookState::sparsify);
    CHECK((*model)(kX1) == kX1);  // no step: masks of ones
    s.squash_mask(false);
    CHECK(s.hook_state("0") == HookState::none);
    CHECK(model->at(0)->forward_pre_hooks().empty());
    s.squash_mask(false);
    s.unregister_layer("0");
    CHECK(s.names() == Names{"1"});
  }

  TEST_CASE("unregistering takes the hook off; an unknown name leaves nothing behind") {
    const auto model = identities(1);
    ActivationSparsifier s(*model, kOptions);
    s.register_layer(*model->at(0));
    CHECK_THROWS_AS(s.unregister_layer("7"), KeyError);
    CHECK(s.size() == 1);
    s.unregister_layer("0");
    CHECK(model->at(0)->forward_pre_hooks().empty());
    CHECK(s.size() == 0);
    s.step();
  }

  TEST_CASE("what cannot be registered or asked for") {
    const auto model = identities(1);
    nn::Identity stranger;
    ActivationSparsifier s(*model, kOptions), bare(*model);
    CHECK_THROWS_AS(s.register_layer(stranger), ValueError);
    CHECK_THROWS_AS(bare.register_layer(*model->at(0)), ValueError);
    CHECK_THROWS_AS(s.register_layer(*model->at(0), features({-1})), IndexError);
    CHECK_THROWS_AS(s.register_layer(*model->at(0), {.sparse_config = {{"level", 0.5}}}), TypeError);
    CHECK_THROWS_AS((void)s.get_mask("0"), ValueError);
    CHECK_THROWS_AS((void)s.get_mask(stranger), ValueError);
    CHECK_THROWS_AS((void)s.data("0"), ValueError);
    CHECK_THROWS_AS((void)s.group("0"), ValueError);
    CHECK(s.size() == 0);
    CHECK(model->at(0)->forward_pre_hooks().empty());
  }

  TEST_CASE("the text is PyTorch's") {
    const auto model = identities(2);
    ActivationSparsifier s(*model, kOptions);
    CHECK(to_string(s) == "ActivationSparsifier ()");
    s.register_layer(*model->at(0));
    s.register_layer(*model->at(1), features({0, 10}));
    const std::string layer = model->at(0)->describe();
    const auto group = [&](const char* name, const char* dim, const char* list) {
      return cat("\n\tData Group\n\t    name: ", name, "\n\t    feature_dim: ", dim, "\n\t    features: ", list,
                 "\n\t    hook_state: aggregate\n\t    layer: ", layer,
                 "\n\t    sparse_config: {'sparsity_level': 0.5}\n");
    };
    CHECK(to_string(s) == cat("ActivationSparsifier (", group("0", "None", "None"), group("1", "1", "[0, 10]"), ")"));
  }
}
