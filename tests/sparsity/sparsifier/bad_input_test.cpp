// Bad input for every call of sparsifiers of weights and their schedulers: the right category, and nothing has changed.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/scheduler/cubic.h"
#include "coppice/sparsity/scheduler/lambda.h"
#include "coppice/sparsity/sparsifier/nearly_diagonal.h"
#include "coppice/sparsity/sparsifier/nm.h"
#include "coppice/sparsity/sparsifier/wanda.h"
#include "coppice/sparsity/sparsifier/weight_norm.h"
#include "sparsity/refused.h"
#include "sparsity/sparsifier/models.h"

using namespace coppice;
using namespace coppice::sparsity;
using coppice::testing::at;
using coppice::testing::refused;
using nn::ModulePtr;

namespace {

using Sizes = std::vector<std::int64_t>;
const double kNan = std::nan("");

ModulePtr two_layers() {
  manual_seed(11);
  return std::make_shared<nn::Sequential>(
      std::initializer_list<ModulePtr>{std::make_shared<nn::Linear>(8, 8), std::make_shared<nn::Linear>(8, 4, false)});
}

/// The first of two layers prepared and stepped.
struct Prepared {
  ModulePtr model = two_layers();
  WeightNormSparsifier sparsifier;
  Prepared() {
    sparsifier.prepare(model, {at("0.weight")});
    sparsifier.step();
  }
  /// All that a call could change.
  [[nodiscard]] Arguments seen() const {
    Arguments tensors;
    for (const auto& [name, tensor] : nn::all_tensors(*model)) tensors.set(name, tensor.clone());
    return {{"state", to_string(sparsifier.state_dict())},  // as text: NaN is not equal to itself
            {"tensors", tensors},
            {"groups", static_cast<std::int64_t>(sparsifier.groups().size())},
            {"updates", sparsifier.enable_mask_update}};
  }
  /// `call` is refused with an error of category E and changes nothing.
  template <class E>
  void refuses(const char* what, const std::function<void()>& call) const {
    coppice::testing::check_refused_whole<E>(what, *this, call);
  }
};

/// A state with another value for `key` of the only group.
Arguments with_setting(const Arguments& state, const char* key, const Argument& value) {
  Arguments group = state.map("groups").map("0").clone();
  group.set(key, value);
  Arguments out = state.clone();
  out.set("groups", Arguments{{"0", group}});
  return out;
}

Arguments with_mask(const Arguments& state, const Argument& mask) {
  Arguments out = state.clone();
  out.set("state", Arguments{{"0.weight", Arguments{{"mask", mask}}}});
  return out;
}

}  // namespace

TEST_SUITE("sparsity/sparsifier/bad_input") {
  TEST_CASE("constructors") {
    CHECK(refused<ValueError>([] { WeightNormSparsifier s(kNan); }));
    CHECK(refused<ValueError>([] { WeightNormSparsifier s(0.5, {0, 4}); }));
    CHECK(refused<ValueError>([] { WeightNormSparsifier s(0.5, {4, -1}); }));
    CHECK(refused<ValueError>([] { WeightNormSparsifier s(0.5, {INT64_MAX, 2}); }));
    CHECK(refused<ValueError>([] { WeightNormSparsifier s(0.5, {1, 4}, 5); }));
    CHECK(refused<ValueError>([] { WeightNormSparsifier s(0.5, {1, 4}, -1); }));
    CHECK(refused<ValueError>([] { WeightNormSparsifier s(0.5, {1, 4}, 4, 3); }));
    CHECK(refused<ValueError>([] { WeightNormSparsifier s(0.5, {1, 4}, 4, ScoreNorm::Function()); }));
    CHECK(refused<KeyError>([] { WeightNormSparsifier s(0.5, {1, 4}, 4, NamedFunction{"nobody.knows"}); }));
    register_function<double(double)>("bad_input.halved", [](double x) { return x / 2; });
    CHECK(refused<TypeError>([] { WeightNormSparsifier s(0.5, {1, 4}, 4, NamedFunction{"bad_input.halved"}); }));
    CHECK(refused<ValueError>([] { NearlyDiagonalSparsifier s(4); }));
    CHECK(refused<ValueError>([] { NmSparsifier s({5, 4}); }));
    CHECK(refused<ValueError>([] { NmSparsifier s({0, 0}); }));
    CHECK(refused<ValueError>([] { WandaSparsifier s(kNan); }));
    CHECK(refused<ValueError>([] { WandaSparsifier s(0.5, 0); }));
  }

  TEST_CASE("prepare") {
    Prepared p;
    const auto config = [&](Arguments element) {
      return [&p, element = std::move(element)] { p.sparsifier.prepare(p.model, {element}); };
    };
    const auto second = [&](const char* key, const Argument& value) { return config(at("1.weight", {{key, value}})); };
    p.refuses<ValueError>("no model", [&] { p.sparsifier.prepare(nullptr); });
    p.refuses<ValueError>("no name", config({{"sparsity_level", 0.5}}));
    p.refuses<TypeError>("a name that is a number", config({{"tensor_fqn", std::int64_t{1}}}));
    p.refuses<KeyError>("an unknown module", config(at("7.weight")));
    p.refuses<KeyError>("an unknown tensor", config(at("1.wait")));
    p.refuses<KeyError>("an empty tensor", config(at("1.bias")));
    p.refuses<KeyError>("a module", config(at("1")));
    p.refuses<ValueError>("another module_fqn", second("module_fqn", "0"));
    p.refuses<ValueError>("another tensor_name", second("tensor_name", "bias"));
    p.refuses<ValueError>("a tensor that is prepared", config(at("0.weight")));
    p.refuses<ValueError>("a tensor twice", [&] { p.sparsifier.prepare(p.model, {at("1.weight"), at("1.weight")}); });
    p.refuses<ValueError>("a good one before a bad one", [&] {
      p.sparsifier.prepare(p.model, {at("1.weight"), at("0.bias", {{"mask", ones({3})}})});
    });
    p.refuses<ShapeError>("a mask of another shape", second("mask", ones({8, 8})));
    p.refuses<ValueError>("a mask of a wider type", second("mask", ones({4, 8}, Dtype::f64)));
    p.refuses<TypeError>("a mask that is none", second("mask", "ones"));
    p.refuses<ValueError>("a level of NaN", second("sparsity_level", kNan));
    p.refuses<TypeError>("a level that is a text", second("sparsity_level", "half"));
    p.refuses<KeyError>("no level", second("sparsity_level", {}));
    p.refuses<ValueError>("a block of 0", second("sparse_block_shape", Sizes{0, 4}));
    p.refuses<ValueError>("a negative block", second("sparse_block_shape", Sizes{4, -4}));
    p.refuses<ValueError>("a block of three sides", second("sparse_block_shape", Sizes{1, 2, 2}));
    p.refuses<ValueError>("a block of one side", second("sparse_block_shape", Sizes{4}));
    p.refuses<ValueError>("a block that overflows", second("sparse_block_shape", Sizes{INT64_MAX, INT64_MAX}));
    p.refuses<TypeError>("a block that is a text", second("sparse_block_shape", "1x4"));
    p.refuses<ValueError>("zeros beyond the block", second("zeros_per_block", std::int64_t{5}));
    p.refuses<ValueError>("negative zeros", second("zeros_per_block", std::int64_t{-1}));
    p.refuses<TypeError>("half a zero", second("zeros_per_block", 0.5));
    p.refuses<StateError>("another model", [&] { p.sparsifier.prepare(two_layers()); });
    nn::set_mask(*p.model->find_module("1"), "weight", ones({4, 8}));
    p.refuses<StateError>("a tensor of the other family", config(at("1.weight")));
  }

  TEST_CASE("step: settings that were changed behind its back, and tensors that do not fit") {
    Prepared p;
    const auto with = [&](const char* key, const Argument& value) {
      const Argument* found = p.sparsifier.groups()[0].config.find(key);
      const Argument was = found == nullptr ? Argument() : *found;
      p.sparsifier.groups()[0].config.set(key, value);
      return was;
    };
    const auto steps = [&] { p.sparsifier.step(); };
    p.sparsifier.prepare(p.model, {at("1.weight")});  // a good one behind, whose mask stays too
    const std::vector<std::tuple<const char*, Argument>> wrong{{"sparsity_level", kNan},
                                                               {"sparse_block_shape", Sizes{0, 1}},
                                                               {"sparse_block_shape", Sizes{4}},
                                                               {"zeros_per_block", std::int64_t{9}}};
    for (const auto& [key, value] : wrong) {
      const Argument was = with(key, value);
      p.refuses<ValueError>(key, steps);
      with(key, was);
    }
    const Argument level = with("sparsity_level", {});
    p.refuses<KeyError>("no level", steps);
    with("sparsity_level", "half");
    p.refuses<TypeError>("a level that is a text", steps);
    with("sparsity_level", level);
    CHECK_NOTHROW(steps());
    (void)p.sparsifier.squash_mask();
    p.refuses<StateError>("after squash_mask", steps);
    p.refuses<StateError>("squash_mask twice", [&] { (void)p.sparsifier.squash_mask(); });
  }

  TEST_CASE("squash_mask, attach and groups") {
    Prepared p;
    p.refuses<KeyError>("a key that no group has", [&] { (void)p.sparsifier.squash_mask({"foo"}); });
    p.refuses<KeyError>("a module without a group", [&] {
      (void)p.sparsifier.squash_mask({}, {{"1", {"sparsity_level"}}});
    });
    p.refuses<KeyError>("a tensor for a module", [&] {
      (void)p.sparsifier.squash_mask({}, {{"0.weight", {"sparsity_level"}}});
    });
    p.refuses<ValueError>("no model", [&] { p.sparsifier.attach(nullptr); });
    p.refuses<StateError>("a model without masks", [&] { p.sparsifier.attach(two_layers()); });
    p.refuses<KeyError>("a model without the tensor", [&] { p.sparsifier.attach(testing::simple_linear()); });
  }

  TEST_CASE("load_state_dict") {
    Prepared p;
    const Arguments good = p.sparsifier.state_dict();
    const auto loads = [&](Arguments state, bool strict = true) {
      return [&p, state = std::move(state), strict] { (void)p.sparsifier.load_state_dict(state, strict); };
    };
    p.refuses<KeyError>("nothing", loads({}));
    p.refuses<KeyError>("no groups", loads({{"state", Arguments()}}));
    p.refuses<TypeError>("groups that are a number", loads({{"state", Arguments()}, {"groups", std::int64_t{1}}}));
    p.refuses<TypeError>("a group that is a number",
                         loads({{"state", Arguments()}, {"groups", Arguments{{"0", std::int64_t{1}}}}}));
    p.refuses<KeyError>("a group without a name",
                        loads({{"state", Arguments()}, {"groups", Arguments{{"0", Arguments()}}}}));
    Arguments more = good.clone();
    more.set("more", true);
    p.refuses<KeyError>("a key too many", loads(more));
    for (const bool strict : {true, false}) {
      CAPTURE(strict);
      p.refuses<ValueError>("a level of NaN", loads(with_setting(good, "sparsity_level", kNan), strict));
      p.refuses<ValueError>("a block of 0", loads(with_setting(good, "sparse_block_shape", Sizes{0, 4}), strict));
      p.refuses<TypeError>("a level that is a text", loads(with_setting(good, "sparsity_level", "half"), strict));
      p.refuses<ShapeError>("a mask of another shape", loads(with_mask(good, ones({8, 4})), strict));
      p.refuses<ValueError>("a mask of a wider type", loads(with_mask(good, ones({8, 8}, Dtype::f64)), strict));
      p.refuses<TypeError>("a mask that is none", loads(with_mask(good, "ones"), strict));
    }
    // The state of another model: of other names, of other shapes, of tensors that are not prepared here.
    WeightNormSparsifier others;
    const ModulePtr other_names = testing::simple_linear();
    others.prepare(other_names);
    p.refuses<KeyError>("other names", loads(others.state_dict()));
    WeightNormSparsifier shapes;
    shapes.prepare(testing::linear_of(ones({3, 5})));
    p.refuses<ShapeError>("other shapes", loads(shapes.state_dict()));
    WeightNormSparsifier both;
    const ModulePtr same = two_layers();
    both.prepare(same);
    p.refuses<StateError>("a tensor that is not prepared", loads(both.state_dict()));
    WeightNormSparsifier fresh;
    CHECK(refused<StateError>([&] { (void)fresh.load_state_dict(good); }));
    NmSparsifier pattern;
    pattern.prepare(two_layers(), {at("0.weight")});
    p.refuses<KeyError>("the state of another class", loads(pattern.state_dict()));
  }

  TEST_CASE("schedulers") {
    const CatchWarnings warnings;  // of the order of steps
    Prepared p;
    p.sparsifier.prepare(p.model, {at("1.weight")});
    const auto makes = [&](CubicSettings settings, std::int64_t last_epoch = -1) {
      return [&p, settings = std::move(settings), last_epoch] { CubicSL s(p.sparsifier, settings, last_epoch); };
    };
    const auto one = [](std::int64_t) { return 1.0; };
    p.refuses<ValueError>("three values for two groups", makes({.init_sl = {0.1, 0.2, 0.3}}));
    p.refuses<ValueError>("a level of NaN", makes({.init_sl = kNan}));
    p.refuses<ValueError>("no length", makes({.delta_t = 0.0}));
    p.refuses<ValueError>("an epoch beyond 2^53", makes({}, INT64_MAX));
    p.refuses<ValueError>("one function of two", [&] { LambdaSL s(p.sparsifier, std::vector<LevelFunction>{one}); });
    p.refuses<ValueError>("no function", [&] { LambdaSL s(p.sparsifier, LevelFunction::Function()); });
    p.refuses<ValueError>("levels of NaN", [&] {
      LambdaSL s(p.sparsifier, LevelFunction::Function([](std::int64_t) { return std::nan(""); }));
    });
    p.refuses<KeyError>("a function that is not registered",
                        [&] { LambdaSL s(p.sparsifier, NamedFunction{"nobody.knows"}); });
    CubicSL scheduler(p.sparsifier);
    const Arguments good = scheduler.state_dict();
    const auto loads = [&](const char* key, const Argument& value) {
      Arguments state = good.clone();
      state.set(key, value);
      return [&scheduler, state] { scheduler.load_state_dict(state); };
    };
    const auto refuses = [&]<class E>(E*, const char* key, const Argument& value) {
      p.refuses<E>(key, loads(key, value));
      CHECK(scheduler.state_dict() == good);
    };
    refuses(static_cast<KeyError*>(nullptr), "more", true);
    refuses(static_cast<KeyError*>(nullptr), "base_sl", {});
    refuses(static_cast<TypeError*>(nullptr), "base_sl", "half");
    refuses(static_cast<ValueError*>(nullptr), "base_sl", std::vector<double>{0.5});
    for (const char* key : {"base_sl", "_last_sl"})
      refuses(static_cast<ValueError*>(nullptr), key, std::vector<double>(p.sparsifier.groups().size(), std::nan("")));
    refuses(static_cast<ValueError*>(nullptr), "last_epoch", INT64_MAX);
    refuses(static_cast<ValueError*>(nullptr), "_step_count", std::int64_t{0});
    refuses(static_cast<ValueError*>(nullptr), "_step_count", INT64_MAX);
    refuses(static_cast<ValueError*>(nullptr), "delta_t", std::vector<double>{0, 1});
    const Argument level = *p.sparsifier.groups()[0].config.find("sparsity_level");
    p.sparsifier.groups()[0].config.set("sparsity_level", {});
    p.refuses<KeyError>("a group without a level", [&] { scheduler.step(); });
    p.sparsifier.groups()[0].config.set("sparsity_level", level);
  }
}
