// Bad input for every call of the activation sparsifier: the right category, and nothing has changed.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/activation/activation_sparsifier.h"
#include "sparsity/activation/identities.h"
#include "sparsity/refused.h"

using namespace coppice;
using namespace coppice::sparsity;
using coppice::testing::refused;

namespace {

using Sizes = std::vector<std::int64_t>;

ActivationOptions usual() {
  return {.aggregate_fn = "coppice.sum", .reduce_fn = "coppice.mean_dim0", .mask_fn = "coppice.magnitude"};
}

/// Layer "0" of two, which one pass has reached.
struct Collecting {
  std::shared_ptr<nn::Sequential> model = std::make_shared<nn::Sequential>(
      std::initializer_list<nn::ModulePtr>{std::make_shared<nn::Identity>(), std::make_shared<nn::Identity>()});
  ActivationSparsifier sparsifier{*model, usual()};
  Collecting() {
    sparsifier.register_layer(*model->at(0));
    (void)(*model)(Tensor::of({{1, -2, 3}, {4, 5, -6}}));
  }
  /// All that a call could change.
  [[nodiscard]] std::string seen() const {
    std::string out = to_string(sparsifier);
    for (const std::string& name : sparsifier.names()) {
      const auto data = sparsifier.data(name);
      if (const auto* t = std::get_if<Tensor>(&data)) out += to_string(*t);
      if (const auto* each = std::get_if<TensorList>(&data))
        for (const Tensor& t : *each) out += to_string(t);
    }
    return out;
  }
  template <class E>
  void refuses(const char* what, const std::function<void()>& call) const {
    const std::string case_name = what;
    CAPTURE(case_name);
    const std::string before = seen();
    CHECK(refused<E>(call));
    CHECK(seen() == before);
  }
};

}  // namespace

TEST_SUITE("sparsity/activation/bad_input") {
  TEST_CASE("functions") {
    CHECK(refused<KeyError>([] { (void)AggregateFunction("nobody.knows"); }));
    CHECK(refused<KeyError>([] { (void)ReduceFunction("nobody.knows"); }));
    CHECK(refused<KeyError>([] { (void)MaskFunction("nobody.knows"); }));
    CHECK(refused<TypeError>([] { (void)AggregateFunction("coppice.ones"); }));
    CHECK(refused<TypeError>([] { (void)ReduceFunction("coppice.sum"); }));
    CHECK(refused<TypeError>([] { (void)MaskFunction("coppice.identity"); }));
    CHECK(refused<ValueError>([] { (void)MaskFunction(std::function<MaskSignature>()); }));
    CHECK(refused<ValueError>([] { (void)AggregateFunction(std::shared_ptr<const Aggregator>()); }));
    CHECK(refused<ValueError>(
        [] { register_mask_function("noname", [](const Tensor& t, const Arguments&) { return t; }, {}); }));
    CHECK(refused<KeyError>(
        [] { register_mask_function("coppice.ones", [](const Tensor& t, const Arguments&) { return t; }, {}); }));
  }

  TEST_CASE("register_layer and unregister_layer") {
    Collecting c;
    const CatchWarnings warnings;  // of layers that are registered anew
    nn::Identity stranger;
    const auto registers = [&](int layer, ActivationOptions options) {
      return [&c, layer, options = std::move(options)] { c.sparsifier.register_layer(*c.model->at(layer), options); };
    };
    c.refuses<ValueError>("a layer of another model", [&] { c.sparsifier.register_layer(stranger); });
    for (const int layer : {0, 1}) {  // registered before, or not
      CAPTURE(layer);
      c.refuses<ValueError>("features without an axis", registers(layer, {.features = Sizes{0}}));
      c.refuses<IndexError>("a negative feature", registers(layer, {.features = Sizes{0, -1}, .feature_dim = 1}));
      c.refuses<TypeError>("a setting that mask_fn has not", registers(layer, {.sparse_config = {{"level", 0.5}}}));
      c.refuses<KeyError>("a setting that is missing", registers(layer, {.mask_fn = "coppice.top_k"}));
    }
    c.refuses<KeyError>("an unknown layer", [&] { c.sparsifier.unregister_layer("7"); });
    ActivationSparsifier bare(*c.model);
    CHECK(refused<ValueError>([&] { bare.register_layer(*c.model->at(0)); }));  // no functions
    CHECK(bare.size() == 0);
  }

  TEST_CASE("get_mask, data, group, step and squash_mask") {
    Collecting c;
    nn::Identity stranger;
    c.refuses<ValueError>("the mask of an unknown layer", [&] { (void)c.sparsifier.get_mask("7"); });
    c.refuses<ValueError>("the mask of a layer of another model", [&] { (void)c.sparsifier.get_mask(stranger); });
    c.refuses<ValueError>("the data of an unknown layer", [&] { (void)c.sparsifier.data("7"); });
    c.refuses<ValueError>("the settings of an unknown layer", [&] { (void)c.sparsifier.group("7"); });
    c.sparsifier.register_layer(*c.model->at(1));
    c.refuses<ValueError>("a mask before a pass", [&] { (void)c.sparsifier.get_mask("1"); });
    c.refuses<ValueError>("squash_mask before a pass", [&] { c.sparsifier.squash_mask(); });
    c.refuses<StateError>("step with a layer that nothing reached", [&] { c.sparsifier.step(); });
    c.sparsifier.unregister_layer("1");
    c.refuses<ShapeError>("a pass of another shape", [&] { (void)(*c.model)(ones({3, 3})); });
    c.sparsifier.step();
    c.refuses<StateError>("a second step", [&] { c.sparsifier.step(); });
  }

  TEST_CASE("settings that mask_fn finds wrong in a step") {
    Collecting c;
    c.sparsifier.unregister_layer("0");
    const auto collect_with = [&](ActivationOptions options) {
      const CatchWarnings warnings;
      c.sparsifier.register_layer(*c.model->at(0), options);
      (void)(*c.model)(ones({2, 3}));
    };
    const auto steps = [&] { c.sparsifier.step(); };
    collect_with({.sparse_config = {{"sparsity_level", "half"}}});
    c.refuses<TypeError>("a level that is a text", steps);
    collect_with({.sparse_config = {{"sparsity_level", std::nan("")}}});
    c.refuses<ValueError>("a level of NaN", steps);
    collect_with({.mask_fn = "coppice.top_k", .sparse_config = {{"k", std::int64_t{-1}}}});
    c.refuses<ValueError>("a negative count", steps);
    collect_with({.features = Sizes{0, 1}, .feature_dim = 1});
    CHECK_NOTHROW(steps());
    CHECK(refused<IndexError>([&] { collect_with({.features = Sizes{7}, .feature_dim = 1}); }));
    CHECK(refused<IndexError>([&] { collect_with({.features = Sizes{0}, .feature_dim = 5}); }));
  }

  TEST_CASE("load_state_dict") {
    Collecting c;
    const ActivationSparsifierState good = c.sparsifier.state_dict();
    const auto loads = [&](const std::function<void(ActivationSparsifierState&)>& change) {
      ActivationSparsifierState state = good;
      change(state);
      return [&c, state] { c.sparsifier.load_state_dict(state); };
    };
    c.refuses<KeyError>("no masks", loads([](auto& state) { state.state = {}; }));
    c.refuses<ValueError>("a layer that the model has not", loads([](auto& state) {
                            state.data_groups.set("7", *state.data_groups.find("0"));
                            state.state.set("7", *state.state.find("0"));
                          }));
    c.refuses<ValueError>("no function",
                          loads([](auto& state) { state.data_groups.find("0")->options.mask_fn = std::nullopt; }));
    c.refuses<TypeError>("a setting that mask_fn has not", loads([](auto& state) {
                           state.data_groups.find("0")->options.sparse_config.set("level", 0.5);
                         }));
    c.refuses<ValueError>("data without a mask", loads([](auto& state) { state.state.set("0", {}); }));
    c.refuses<ValueError>("a list of masks without features",
                          loads([](auto& state) { state.state.set("0", std::vector<CooTensor>{to_coo(ones({3}))}); }));
    c.refuses<ValueError>("parts of data that are no features", loads([](auto& state) {
                            state.data_groups.find("0")->data->push_back({ones({2, 3})});
                          }));
    c.refuses<ValueError>("a part of data without its tensors",
                          loads([](auto& state) { state.data_groups.find("0")->data->at(0).clear(); }));
    c.refuses<IndexError>("a mask with an index outside it", loads([](auto& state) {
                            CooTensor mask = to_coo(ones({2, 3}));
                            mask.indices = full({2, 6}, 9, Dtype::i64);
                            state.state.set("0", mask);
                          }));
  }
}
