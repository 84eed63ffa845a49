#include "coppice/sparsity/state_file.h"

#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <functional>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/activation/activation_sparsifier.h"
#include "coppice/sparsity/data/data_norm_sparsifier.h"
#include "coppice/sparsity/data/step_sl_scheduler.h"

using namespace coppice;
using namespace coppice::sparsity;
using Names = std::vector<std::string>;

namespace {

namespace fs = std::filesystem;

/// A file that goes with the test.
struct File {
  fs::path path;
  explicit File(const char* name) : path(fs::temp_directory_path() / name) {}
  ~File() { fs::remove(path); }
};

Arguments again(const Arguments& arguments) {
  const File file("coppice_state_file_test.safetensors");
  save_arguments(arguments, file.path);
  return load_arguments(file.path);
}

const ActivationOptions kOptions{.aggregate_fn = AggregateFunction("coppice.mean"),
                                 .reduce_fn = ReduceFunction("coppice.mean_dim0"),
                                 .mask_fn = MaskFunction("coppice.magnitude")};

std::shared_ptr<nn::Sequential> two_layers() {
  return std::make_shared<nn::Sequential>(
      std::initializer_list<nn::ModulePtr>{std::make_shared<nn::Identity>(), std::make_shared<nn::Identity>()});
}

DataNormSparsifier stepped() {
  manual_seed(4);
  DataNormSparsifier s({{"a", randn({9, 7})}, {"b", randn({5})}, {"odd name/1", randn({4, 4})}}, {.norm = "L2"});
  s.step();
  s.squash_mask(Names{"b"});
  return s;
}

}  // namespace

TEST_SUITE("sparsity/state_file") {
  TEST_CASE("a data sparsifier comes back as it was, with one bit for an entry of a mask") {
    const DataNormSparsifier s = stepped();
    const Arguments arguments = to_arguments(s.state_dict());
    const Arguments& mask = arguments.map("data").map("a").map("mask");
    CHECK(mask.tensor("bits").shape() == Shape{8});  // 63 entries
    CHECK(mask.text("dtype") == "int8");
    const Arguments loaded = again(arguments);
    CHECK(loaded == arguments);
    DataNormSparsifier other;
    other.load_state_dict(data_sparsifier_state(loaded));
    CHECK(other.names() == s.names());
    CHECK(other.norm() == "L2");
    for (const std::string& name : s.names()) {
      CHECK(other.get_mask(name) == s.get_mask(name));
      CHECK(other.get_data(name, false) == s.get_data(name, false));
      CHECK(other.group(name) == s.group(name));
      CHECK(other.is_parametrized(name) == s.is_parametrized(name));
    }
  }

  TEST_CASE("masks of other numbers than 0 and 1 are stored as they are") {
    DataSparsifierState state = stepped().state_dict();
    state.state.find("a")->mask = to_coo(full({9, 7}, 0.5));
    const Arguments arguments = to_arguments(state);
    CHECK(arguments.map("data").map("a").map("mask").tensor("values") == full({9, 7}, 0.5));
    CHECK(data_sparsifier_state(again(arguments)).state.find("a")->mask == to_coo(full({9, 7}, 0.5)));
  }

  TEST_CASE("a scheduler comes back") {
    DataNormSparsifier s({{"a", ones({4, 4})}});
    StepSLScheduler scheduler(s, "sparsity_level", 2, 1.25);
    s.step();
    scheduler.step();
    StepSLScheduler other(s);
    other.load_state_dict(again(scheduler.state_dict()));
    CHECK(other.state_dict() == scheduler.state_dict());
  }

  TEST_CASE("an activation sparsifier comes back in every state, functions by their names") {
    const Tensor x = Tensor::of({{1, -2, 3, -4}, {5, 6, -7, 8}});
    const auto a = two_layers(), b = two_layers();
    ActivationSparsifier from(*a, kOptions), to(*b);
    const auto same = [&] {
      to.load_state_dict(activation_sparsifier_state(again(to_arguments(from.state_dict()))));
      CHECK(to.names() == from.names());
      CHECK(to.defaults() == from.defaults());
      for (const std::string& name : from.names()) {
        CHECK(to.group(name) == from.group(name));
        CHECK(to.hook_state(name) == from.hook_state(name));
        CHECK(to.data(name) == from.data(name));
      }
    };
    from.register_layer(*a->at(0));
    from.register_layer(*a->at(1), {.features = std::vector<std::int64_t>{0, 3}, .feature_dim = 1});
    from.register_layer(*a, {.features = std::vector<std::int64_t>{}, .feature_dim = 0});
    same();
    (void)(*a)(x);
    same();
    CHECK(to.get_mask("1") == from.get_mask("1"));
    from.step();
    same();
    CHECK(to.get_mask("0") == from.get_mask("0"));
    from.squash_mask();
    same();
    CHECK((*b)(x) == (*a)(x));
    CHECK_FALSE((*b)(x) == x);
  }

  TEST_CASE("a function without a name is refused before anything is written, and its layer named") {
    const auto model = two_layers();
    const std::function<ReduceSignature> own = [](const Tensor& x) { return x; };
    ActivationSparsifier s(*model, kOptions);
    s.register_layer(*model->at(1), {.reduce_fn = ReduceFunction(own)});
    CHECK_THROWS_WITH_AS((void)to_arguments(s.state_dict()),
                         "[to_arguments] reduce_fn of '1' has no name, which a file would need: register it, and give "
                         "its name",
                         StateError);
  }

  TEST_CASE("functions that are left open, or that nobody registered, are resolved when the state is read") {
    const auto model = two_layers();
    const std::function<ReduceSignature> own = [](const Tensor& x) { return sum(x, {0}); };
    ActivationSparsifier s(*model, kOptions);
    s.register_layer(*model->at(0));
    s.register_layer(*model->at(1), {.reduce_fn = ReduceFunction(own)});
    Arguments open = again(to_arguments(s.state_dict(), UnnamedFunctions::leave_open));
    CHECK_THROWS_WITH_AS((void)activation_sparsifier_state(open),
                         "[activation_sparsifier_state] reduce_fn of '1' was left open", FormatError);

    Arguments options = open.map("layers").map("0").map("options").clone(), layer = open.map("layers").map("0").clone(),
              layers = open.map("layers").clone();
    options.set("mask_fn", std::string("their.mask"));
    layer.set("options", options);
    layers.set("0", layer);
    open.set("layers", layers);
    open = again(open);  // a file may say so
    Names asked;
    const auto given =
        [&](const MissingFunction& f) -> std::optional<std::variant<AggregateFunction, ReduceFunction, MaskFunction>> {
      asked.push_back(cat(f.of_defaults ? "defaults" : f.layer, " ", f.role, " ", f.name));
      if (f.role == "reduce_fn") return ReduceFunction(own);
      return MaskFunction("coppice.ones");
    };
    const ActivationSparsifierState state = activation_sparsifier_state(open, {}, given);
    CHECK(asked == Names{"0 mask_fn their.mask", "1 reduce_fn "});
    const auto other = two_layers();
    ActivationSparsifier to(*other);
    to.load_state_dict(state);
    CHECK(to.group("0").mask_fn->name() == "coppice.ones");
    (void)(*other)(Tensor::of({{1, -2}, {5, 6}}));
    to.step();
    CHECK(std::get<Tensor>(to.get_mask("1")) == Tensor::of({1, 0}).to(std::get<Tensor>(to.get_mask("1")).dtype()));

    CHECK_THROWS_AS((void)activation_sparsifier_state(open, {}, [](const MissingFunction&) { return std::nullopt; }),
                    FormatError);
    CHECK_THROWS_AS((void)activation_sparsifier_state(
                        open, {}, [](const MissingFunction&) { return AggregateFunction("coppice.sum"); }),
                    FormatError);  // of another kind
  }

  TEST_CASE("masks of a state may cost what its tensors do, and Limits::extra_bytes") {
    const Arguments data = to_arguments(stepped().state_dict());
    Limits limits;
    limits.extra_bytes = 2000;
    CHECK_NOTHROW((void)data_sparsifier_state(data, limits));
    limits.extra_bytes = 100;
    CHECK_THROWS_AS((void)data_sparsifier_state(data, limits), LimitError);
  }

  TEST_CASE("what a file says wrongly is refused as that") {
    const Arguments data = to_arguments(stepped().state_dict());
    const auto model = two_layers();
    ActivationSparsifier s(*model, kOptions);
    s.register_layer(*model->at(0));
    const Arguments activation = to_arguments(s.state_dict());
    for (const auto& [key, value] : data) {
      const std::string& spoilt_key = key;
      CAPTURE(spoilt_key);
      Arguments lacking, wrong = data;
      for (const auto& [other, kept] : data)
        if (other != key) lacking.set(other, kept);
      wrong.set(key, std::string("word"));
      CHECK_THROWS_AS((void)data_sparsifier_state(lacking), FormatError);
      CHECK_THROWS_AS((void)data_sparsifier_state(wrong), FormatError);
    }
    for (const auto& [key, value] : activation) {
      const std::string& spoilt_key = key;
      CAPTURE(spoilt_key);
      Arguments lacking, wrong = activation;
      for (const auto& [other, kept] : activation)
        if (other != key) lacking.set(other, kept);
      wrong.set(key, std::string("word"));
      CHECK_THROWS_AS((void)activation_sparsifier_state(lacking), FormatError);
      CHECK_THROWS_AS((void)activation_sparsifier_state(wrong), FormatError);
    }
    CHECK_THROWS_AS((void)data_sparsifier_state(activation), FormatError);
    CHECK_THROWS_AS((void)activation_sparsifier_state(data), FormatError);
    Arguments newer = data;
    newer.set("format", std::int64_t{2});
    CHECK_THROWS_AS((void)data_sparsifier_state(newer), FormatError);

    const auto spoilt = [&](const char* key, Argument value) {
      Arguments mask = data.map("data").map("a").map("mask").clone(), entry = data.map("data").map("a").clone();
      mask.set(key, std::move(value));
      entry.set("mask", mask);
      Arguments all = data.map("data").clone(), out = data;
      all.set("a", entry);
      out.set("data", all);
      return out;
    };
    CHECK_THROWS_AS((void)data_sparsifier_state(spoilt("shape", std::vector<std::int64_t>{1 << 20, 1 << 20})),
                    FormatError);
    CHECK_THROWS_AS((void)data_sparsifier_state(spoilt("shape", std::vector<std::int64_t>{-1, 7})), FormatError);
    CHECK_THROWS_AS((void)data_sparsifier_state(spoilt("dtype", std::string("complex64"))), FormatError);
    CHECK_THROWS_AS((void)data_sparsifier_state(spoilt("bits", full({8}, 255, Dtype::u8))),
                    FormatError);  // a spare bit
    CHECK_THROWS_AS((void)data_sparsifier_state(spoilt("more", true)), FormatError);
  }

  TEST_CASE("files of other things are refused; a number that no file holds is, too") {
    const File file("coppice_state_file_test_other.safetensors");
    nn::save_model(nn::Linear(3, 2), file.path);
    CHECK_THROWS_AS((void)load_arguments(file.path), FormatError);
    CHECK_THROWS_AS((void)load_arguments(file.path / "nowhere"), IoError);
    CHECK_THROWS_AS(save_arguments({{"level", std::nan("")}}, file.path), ValueError);
  }

  TEST_CASE("arguments as tensors of a file that holds more") {
    const Arguments arguments = to_arguments(stepped().state_dict());
    const NamedTensors tensors = arguments_to_tensors(arguments);
    CHECK(arguments_from_tensors(tensors, "this") == arguments);
    CHECK_THROWS_WITH_AS(
        (void)arguments_from_tensors({}, "this"),
        "[load_model] 'this' holds tensors but no model: metadata 'coppice.model' is missing. Use import "
        "with an architecture",
        FormatError);
    const NamedTensors layer = nn::model_to_tensors(nn::Linear(1, 1));
    CHECK_THROWS_WITH_AS((void)arguments_from_tensors(layer, "this"),
                         "[load_arguments] 'this' holds a Linear and no state of a sparsifier", FormatError);
  }
}
