// Bad input for every call of data sparsifiers and their schedulers: the right category, and nothing has changed.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/data/data_norm_sparsifier.h"
#include "coppice/sparsity/data/step_sl_scheduler.h"
#include "sparsity/refused.h"

using namespace coppice;
using namespace coppice::sparsity;
using coppice::testing::refused;

namespace {

using Sizes = std::vector<std::int64_t>;
const double kNan = std::nan("");

/// Two data, stepped once.
struct Stepped {
  Tensor a = Tensor::of({{1, 2, 3, 4}, {8, 7, 6, 5}}), b = Tensor::of({3, 1, 2});
  DataNormSparsifier sparsifier{{{"a", a}, {"b", b}}};
  Stepped() { sparsifier.step(); }

  /// All that a call could change.
  [[nodiscard]] Arguments seen() const {
    Arguments masks;
    for (const std::string& name : sparsifier.names())
      masks.set(name, Arguments{{"mask", sparsifier.get_mask(name).clone()},
                                {"masked", sparsifier.get_data(name, false).detach().clone()},
                                {"settings", to_string(sparsifier.group(name))},
                                {"parametrized", sparsifier.is_parametrized(name)}});
    return {{"masks", masks},
            {"text", to_string(sparsifier)},
            {"norm", sparsifier.norm()},
            {"updates", sparsifier.enable_mask_update},
            {"a", a.clone()},
            {"b", b.clone()}};
  }
  template <class E>
  void refuses(const char* what, const std::function<void()>& call) const {
    coppice::testing::check_refused_whole<E>(what, *this, call);
  }
};

}  // namespace

TEST_SUITE("sparsity/data/bad_input") {
  TEST_CASE("constructors") {
    const Tensor t = ones({2, 4});
    const auto with = [&](DataNormOptions options) {
      return [options, t] { DataNormSparsifier s({{"t", t}}, options); };
    };
    CHECK(refused<ValueError>(with({.norm = "L3"})));
    CHECK(refused<ValueError>(with({.sparsity_level = kNan})));
    CHECK(refused<ValueError>(with({.sparse_block_shape = {0, 4}})));
    CHECK(refused<ValueError>(with({.sparse_block_shape = {4, -4}})));
    CHECK(refused<ValueError>(with({.sparse_block_shape = {INT64_MAX, INT64_MAX}})));
    CHECK(refused<ValueError>(with({.zeros_per_block = 5})));
    CHECK(refused<ValueError>(with({.zeros_per_block = -1})));
    CHECK(refused<TypeError>([] { DataNormSparsifier s({{"t", Tensor()}}); }));
    CHECK(refused<TypeError>([] { DataNormSparsifier s({{"t", nn::Linear(2, 2)}}); }));
    CHECK(refused<NotSupported>([] { DataNormSparsifier().prepare(nn::Linear(2, 2)); }));
  }

  TEST_CASE("add_data") {
    Stepped s;
    const CatchWarnings warnings;  // of data that are replaced
    const auto adds = [&](const char* name, const Tensor& data, Arguments config = {}, bool reuse = true) {
      return [&s, name, data, config = std::move(config), reuse] {
        (void)s.sparsifier.add_data(name, data, config, reuse);
      };
    };
    const Tensor t = ones({2, 4});
    s.refuses<KeyError>("no name", adds("", t));
    s.refuses<KeyError>("a path", adds("c.d", t));
    s.refuses<KeyError>("a name of the container's own", adds("parametrizations", t));
    s.refuses<TypeError>("no tensor", adds("c", Tensor()));
    s.refuses<DtypeError>("bools", adds("c", ones({2, 2}, Dtype::boolean)));
    s.refuses<ShapeError>("three axes", adds("c", ones({2, 2, 2})));
    s.refuses<ShapeError>("a replacement of another shape under the old mask", adds("a", ones({3, 3})));
    s.refuses<ShapeError>("a mask of another shape", adds("c", t, {{"mask", ones({4, 2})}}));
    s.refuses<ValueError>("a mask of a wider type", adds("c", t, {{"mask", ones({2, 4}, Dtype::f64)}}));
    s.refuses<TypeError>("a mask that is none", adds("c", t, {{"mask", "ones"}}));
    s.refuses<ValueError>("a level of NaN", adds("c", t, {{"sparsity_level", kNan}}));
    s.refuses<TypeError>("a level that is a text", adds("c", t, {{"sparsity_level", "half"}}));
    s.refuses<ValueError>("a block of 0", adds("c", t, {{"sparse_block_shape", Sizes{0, 4}}}));
    s.refuses<ValueError>("a block of one side", adds("c", t, {{"sparse_block_shape", Sizes{4}}}));
    s.refuses<ValueError>("zeros beyond the block", adds("c", t, {{"zeros_per_block", std::int64_t{5}}}));
    s.refuses<ValueError>("a bad setting of a replacement", adds("a", t, {{"sparsity_level", kNan}}));
    s.refuses<KeyError>("a parametrization that is not registered",
                        adds("c", t, {{"parametrization", NamedFunction{"nobody.knows"}}}));
  }

  TEST_CASE("every call with a name that is not there, or squashed") {
    Stepped s;
    s.refuses<ValueError>("get_data", [&] { (void)s.sparsifier.get_data("c"); });
    s.refuses<ValueError>("get_mask", [&] { (void)s.sparsifier.get_mask("c"); });
    s.refuses<ValueError>("delete_data", [&] { s.sparsifier.delete_data("c"); });
    s.refuses<ValueError>("group", [&] { (void)s.sparsifier.group("c"); });
    s.refuses<ValueError>("state", [&] { (void)s.sparsifier.state("c"); });
    s.refuses<ValueError>("set_config", [&] { s.sparsifier.set_config("c", "sparsity_level", 0.5); });
    s.refuses<ValueError>("squash_mask", [&] { s.sparsifier.squash_mask(std::vector<std::string>{"a", "c"}); });
    s.refuses<ValueError>("squash_mask twice", [&] { s.sparsifier.squash_mask(std::vector<std::string>{"a", "a"}); });
    s.sparsifier.squash_mask(std::vector<std::string>{"a"});
    s.refuses<ValueError>("squash_mask again", [&] { s.sparsifier.squash_mask(std::vector<std::string>{"b", "a"}); });
    s.refuses<ValueError>("the original of squashed data", [&] { (void)s.sparsifier.get_data("a"); });
    s.refuses<ValueError>("step beside squashed data", [&] { s.sparsifier.step(); });
  }

  TEST_CASE("step: settings that were changed behind its back") {
    Stepped s;
    const std::vector<std::pair<const char*, Argument>> wrong{
        {"sparsity_level", kNan}, {"sparse_block_shape", Sizes{0, 1}}, {"zeros_per_block", std::int64_t{9}}};
    s.sparsifier.set_config("a", "sparsity_level", 1.0);  // a good one before
    for (const auto& [key, value] : wrong) {
      const Argument* found = s.sparsifier.group("b").find(key);
      const Argument was = found == nullptr ? Argument() : *found;
      s.sparsifier.set_config("b", key, value);
      s.refuses<ValueError>(key, [&] { s.sparsifier.step(); });
      s.sparsifier.set_config("b", key, was);
    }
  }

  TEST_CASE("load_state_dict") {
    Stepped s;
    const DataSparsifierState good = s.sparsifier.state_dict();
    const auto loads = [&](const std::function<void(DataSparsifierState&)>& change, bool strict = true) {
      DataSparsifierState state = good;
      change(state);
      return [&s, state, strict] { s.sparsifier.load_state_dict(state, strict); };
    };
    const auto first = [](DataSparsifierState& state) { return state.data_groups.find("a"); };
    s.refuses<FormatError>("no settings", loads([](auto& state) { state.data_groups = {}; }));
    s.refuses<FormatError>("no data", loads([](auto& state) { state.container = {}; }));
    s.refuses<FormatError>("another norm", loads([](auto& state) { state.settings.set("norm", "L3"); }));
    s.refuses<ShapeError>("a mask of another shape", loads([](auto& state) {
                            state.state.find("a")->mask = to_coo(ones({3, 3}));
                          }));
    s.refuses<IndexError>("a mask with an index outside it", loads([](auto& state) {
                            state.state.find("a")->mask.indices = full({2, 4}, 9, Dtype::i64);
                          }));
    s.refuses<ValueError>("a level of NaN", loads([&](auto& state) { first(state)->set("sparsity_level", kNan); }));
    s.refuses<TypeError>("a level that is a text",
                         loads([&](auto& state) { first(state)->set("sparsity_level", "x"); }));
    s.refuses<ValueError>("a block of 0", loads([&](auto& state) {
                            first(state)->set("sparse_block_shape", Sizes{0, 4});
                          }));
    s.refuses<KeyError>("a function that is not registered", loads([&](auto& state) {
                          first(state)->set("parametrization", NamedFunction{"nobody.knows"});
                        }));
    const auto other_name = [](const char* name) {
      return [name](DataSparsifierState& state) {
        state.state.set(name, *state.state.find("a"));
        state.data_groups.set(name, *state.data_groups.find("a"));
        state.container.add(name, ones({2, 4}));
      };
    };
    s.refuses<KeyError>("a path for a name", loads(other_name("a.b")));
    s.refuses<KeyError>("a path for a name, not strictly", loads(other_name("a.b"), false));
    s.refuses<KeyError>("no name", loads(other_name("")));
  }

  TEST_CASE("schedulers") {
    Stepped s;
    const CatchWarnings warnings;
    s.refuses<ValueError>("a setting that no datum has", [&] { StepSLScheduler x(s.sparsifier, "level"); });
    s.refuses<ValueError>("steps of no epochs", [&] { StepSLScheduler x(s.sparsifier, "sparsity_level", 0); });
    s.refuses<ValueError>("an epoch beyond 2^53",
                          [&] { StepSLScheduler x(s.sparsifier, "sparsity_level", 1, 2, INT64_MAX); });
    s.refuses<TypeError>("a setting that is no number",
                         [&] { StepSLScheduler x(s.sparsifier, "sparse_block_shape", 1, 2, 4); });
    StepSLScheduler scheduler(s.sparsifier, "sparsity_level", 2);
    const Arguments good = scheduler.state_dict();
    const auto refuses = [&]<class E>(E*, const char* key, const Argument& value) {
      Arguments state = good.clone();
      state.set(key, value);
      s.refuses<E>(key, [&] { scheduler.load_state_dict(state); });
      CHECK(scheduler.state_dict() == good);
    };
    refuses(static_cast<KeyError*>(nullptr), "more", true);
    refuses(static_cast<KeyError*>(nullptr), "gamma", {});
    refuses(static_cast<ValueError*>(nullptr), "gamma", kNan);
    s.refuses<ValueError>("a factor of NaN", [&] { StepSLScheduler made(s.sparsifier, "sparsity_level", 1, kNan); });
    refuses(static_cast<TypeError*>(nullptr), "base_param", "half");
    for (const char* key : {"base_param", "_last_param"})
      refuses(static_cast<ValueError*>(nullptr), key, Arguments{{"a", kNan}, {"b", 0.5}});
    refuses(static_cast<ValueError*>(nullptr), "step_size", std::int64_t{0});
    refuses(static_cast<ValueError*>(nullptr), "last_epoch", INT64_MAX);
    refuses(static_cast<ValueError*>(nullptr), "_step_count", std::int64_t{0});
  }
}
