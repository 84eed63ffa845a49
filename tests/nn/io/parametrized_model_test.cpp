/// Model files of parametrized modules: what comes back goes on as if nothing had been saved; lies are refused.
#include "coppice/engine/io/safetensors.h"
#include "coppice/nn/io/model_file.h"
#include "engine/io/io_support.h"
#include "nn/every_layer.h"
#include "nn/parametrizations.h"

using namespace coppice;
using namespace coppice::test;
using namespace coppice::nn::parametrize;
using nn::FakeSparsity, nn::Linear, nn::ModulePtr;

namespace {

template <class P>
void know() {
  if (!nn::is_registered(P::kType))
    nn::register_module(P::kType, [](const nn::Arguments&) { return std::make_shared<P>(); });
}

Tensor random_mask(const Shape& shape, std::uint64_t seed) {
  Generator generator(seed);
  return gt(rand(shape, Dtype::f32, &generator), Tensor::of(0.5)).to(Dtype::f32);
}

ModulePtr saved_and_loaded(const nn::Module& model) {
  const TempDir dir;
  nn::save_model(model, dir / "m.safetensors");
  return nn::load_model(dir / "m.safetensors", {.map = false});
}

/// What loading says to Linear(3, 2) under this list of parametrizations of "weight".
std::string load(const std::string& list, const NamedTensors& more = {}) {
  const TempDir dir;
  NamedTensors tensors{{"bias", coppice::zeros({2})}};
  for (const auto& [name, tensor] : more) tensors.add(name, tensor);
  tensors.metadata()["coppice.model"] =
      R"({"format": 1, "model": {"type": "Linear", "args": {"in_features": 3, "out_features": 2}, "modules": [)"
      R"({"type": "ModuleDict", "name": "parametrizations", "modules": [)" +
      list + "]}]}}";
  write_safetensors(dir / "bad.safetensors", tensors);
  return outcome([&] { return nn::load_model(dir / "bad.safetensors"); });
}

const std::string kMask = R"({"type": "FakeSparsity", "args": {"shape": [2, 3]}, "name": "0"})";
std::string list_of(const std::string& children, const std::string& name = "weight",
                    const std::string& args = R"("original_shape": [2, 3])") {
  return R"({"type": "ParametrizationList", "name": ")" + name + R"(", "args": {)" + args + R"(}, "modules": [)" +
         children + "]}";
}
const NamedTensors kTensors{{"parametrizations.weight.original", ones({2, 3})},
                            {"parametrizations.weight.0.mask", ones({2, 3})}};

int computed = 0;

/// Counts what such types compute.
template <int N>
class Counted final : public nn::Implements<Counted<N>> {
 public:
  static constexpr std::string_view kType = N == 0 ? "test.Free" : N == 1 ? "test.Same" : "test.Never";

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override {
    ++computed;
    return x;
  }
};

template <int N>
void know_counted(const nn::TypeFlags& flags) {
  if (!nn::is_registered(Counted<N>::kType))
    nn::register_module(
        Counted<N>::kType, [](const nn::Arguments&) { return std::make_shared<Counted<N>>(); }, flags);
}

/// A float original times a small integer one.
class FloatAndByte final : public nn::Implements<FloatAndByte, nn::Module>, public RightInverse {
 public:
  static constexpr std::string_view kType = "test.FloatAndByte";
  [[nodiscard]] Originals right_inverse(const Tensor& x) const override {
    return TensorList{x, ones(x.shape(), Dtype::i8)};
  }

 protected:
  [[nodiscard]] TensorList forward(const TensorList& in) const override { return {mul(in.at(0), in.at(1))}; }
};

class OwnChildren final : public nn::Implements<OwnChildren> {
 public:
  static constexpr std::string_view kType = "test.OwnChildren";
  OwnChildren() { add_module("fc", std::make_shared<Linear>(2, 3)); }

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return (*child("fc"))(x); }
};

}  // namespace

TEST_SUITE("nn/io/parametrized_model") {
  TEST_CASE("every parameter of every layer comes back with its mask") {
    for (const auto& [name, module] : every_layer()) {
      std::vector<std::string> own;
      for (const auto& [key, tensor] : module->own_parameters())
        if (tensor.defined()) own.push_back(key);
      if (own.empty() || name.starts_with("Packed")) continue;
      const auto& shown = name;  // Clang 14 cannot capture a structured binding
      CAPTURE(shown);
      for (const std::string& key : own)
        register_parametrization(*module, key,
                                 std::make_shared<FakeSparsity>(random_mask(module->tensor(key).shape(), key.size())));
      module->eval();
      const ModulePtr back = saved_and_loaded(*module);
      for (const std::string& key : own) {
        CAPTURE(key);
        CHECK(back->tensor(key) == module->tensor(key));
        CHECK(is_parametrized(*back, key));
      }
      check_same_bits(nn::all_tensors(*back), nn::all_tensors(*module));
      const NoGrad off;
      const TensorList x = input_for(*module);
      CHECK((*back)(x)[0] == (*module)(x)[0]);
    }
  }

  TEST_CASE("masks cost one bit per entry, those with other numbers all of them") {
    const TempDir dir;
    Linear m(64, 64, false);
    register_parametrization(m, "weight", std::make_shared<FakeSparsity>(random_mask({64, 64}, 1)));
    nn::save_model(m, dir / "bits.safetensors");
    CHECK(read_safetensors(dir / "bits.safetensors").at("parametrizations.weight.0.mask").nbytes() == 64 * 64 / 8);
    parametrizations_of(m, "weight").child("0")->set_tensor("mask", full({64, 64}, 0.5));
    nn::save_model(m, dir / "halves.safetensors");
    CHECK(read_safetensors(dir / "halves.safetensors").at("parametrizations.weight.0.mask").nbytes() == 64 * 64 * 4);
    CHECK(nn::load_model(dir / "halves.safetensors")->tensor("weight") == m.tensor("weight"));
  }

  TEST_CASE("several originals, several parametrizations, buffers, masks of other types, nesting") {
    know<Sum>(), know<Double>(), know<AddOne>(), know<FirstRow>();
    Linear m(3, 2);
    register_parametrization(m, "weight", std::make_shared<Sum>());
    register_parametrization(m, "weight",
                             std::make_shared<FakeSparsity>(Tensor::of({{1, 0, 1}, {0, 1, 1}}).to(Dtype::i8)));
    register_parametrization(m, "bias", std::make_shared<AddOne>());
    register_parametrization(parametrizations_of(m, "bias"), "original", std::make_shared<Double>());
    nn::BatchNorm1d norm({.features = 3});
    register_parametrization(norm, "running_mean", std::make_shared<AddOne>());
    register_parametrization(norm, "running_mean", std::make_shared<FirstRow>(), true);
    const ModulePtr back = saved_and_loaded(m);
    for (const char* name : {"weight", "bias"}) CHECK(back->tensor(name) == m.tensor(name));
    CHECK(back->describe() == m.describe());
    const ModulePtr back_norm = saved_and_loaded(norm);
    CHECK(back_norm->tensor("running_mean") == Tensor::of({1}));
    CHECK(parametrizations_of(*back_norm, "running_mean").is_buffer());
    CHECK(parametrizations_of(*back_norm, "running_mean").unsafe());
    CHECK(parametrizations_of(*back, "weight").originals().size() == 2);
    CHECK(parametrizations_of(*back, "weight").child("1")->tensor("mask").dtype() == Dtype::i8);
    remove_parametrizations(*back, "weight");
    CHECK(back->tensor("weight") == m.tensor("weight"));
  }

  TEST_CASE("masked and parametrized at once, either way round") {
    know<AddOne>();
    const auto model = std::make_shared<nn::Sequential>(
        std::initializer_list<ModulePtr>{std::make_shared<Linear>(3, 2), std::make_shared<Linear>(2, 3)});
    nn::attach_mask(*model->at(0), "weight", random_mask({2, 3}, 1));
    register_parametrization(*model->at(0), "weight_orig", std::make_shared<AddOne>());
    register_parametrization(*model->at(1), "weight", std::make_shared<AddOne>());
    nn::attach_mask(parametrizations_of(*model->at(1), "weight"), "original", random_mask({3, 2}, 2));
    const ModulePtr back = saved_and_loaded(*model);
    for (const char* name : {"0.weight", "0.weight_orig", "1.weight"})
      CHECK(nn::fqn_to_tensor(*back, name) == nn::fqn_to_tensor(*model, name));
    CHECK(nn::is_masked(*back->child("0"), "weight"));
  }

  TEST_CASE("originals of several types, frozen parameters and the order of parameters come back") {
    know<FloatAndByte>();
    Linear m(2, 2);
    nn::attach_mask(m, "weight", ones({2, 2}));
    nn::burn_in_mask(m, "weight");  // last now
    m.tensor("bias").requires_grad_(false);
    register_parametrization(m, "weight", std::make_shared<FloatAndByte>());
    const ModulePtr back = saved_and_loaded(m);
    CHECK(parametrizations_of(*back, "weight").originals()[1].dtype() == Dtype::i8);
    CHECK(back->tensor("weight") == m.tensor("weight"));
    CHECK_FALSE(back->tensor("bias").requires_grad());
    Linear moved(2, 2);
    nn::attach_mask(moved, "weight", ones({2, 2}));
    nn::burn_in_mask(moved, "weight");
    const ModulePtr again = saved_and_loaded(moved);
    CHECK(again->named_parameters()[0].first == "bias");
    CHECK(again->named_parameters()[1].first == "weight");
  }

  TEST_CASE("types of masks come back, also of one entry and of types that are not their original's") {
    for (const Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::boolean, Dtype::i64})
      for (const Shape& shape : {Shape{1, 1}, Shape{3, 2}}) {
        Linear m(shape[1], shape[0], false);
        nn::set_mask(m, "weight", random_mask(shape, 4).to(dtype));
        const ModulePtr back = saved_and_loaded(m);
        CHECK(back->tensor("weight_mask") == m.tensor("weight_mask"));
        CHECK(back->tensor("weight") == m.tensor("weight"));
      }
  }

  TEST_CASE(
      "a module of the program's that makes its children itself comes back; a tensor its type has not is refused") {
    know<OwnChildren>();
    const auto m = std::make_shared<OwnChildren>();
    const ModulePtr back = saved_and_loaded(*m);
    CHECK(back->children().size() == 1);
    CHECK((*back)(ones({1, 2})) == (*m)(ones({1, 2})));
    Linear more(2, 2);
    more.register_parameter("scale", ones({2}));
    const TempDir dir;
    CHECK_THROWS_WITH_AS(nn::save_model(more, dir / "m.safetensors"), doctest::Contains("'scale'"), NotSupported);
    CHECK_FALSE(std::filesystem::exists(dir / "m.safetensors"));
  }

  TEST_CASE("a type that nobody could load is refused before a file is written") {
    const TempDir dir;
    Linear m(3, 2);
    register_parametrization(m, "weight", std::make_shared<Same>());
    CHECK_THROWS_WITH_AS(nn::save_model(m, dir / "m.safetensors"), doctest::Contains("'test.Same'"), KeyError);
    CHECK_FALSE(std::filesystem::exists(dir / "m.safetensors"));
  }

  TEST_CASE("files that lie about parametrizations") {
    const auto refused = [](const std::string& said, const std::string& fragment) {
      CAPTURE(said);
      CHECK(said.starts_with("FormatError"));
      CHECK(said.find(fragment) != said.npos);
    };
    CHECK(load(list_of(kMask), kTensors) == "accepted");
    refused(load(list_of(""), kTensors), "nothing to parametrize it with");
    refused(load(list_of(kMask, "weigth"), {{"parametrizations.weigth.original", ones({2, 3})},
                                            {"parametrizations.weigth.0.mask", ones({2, 3})},
                                            {"weight", ones({2, 3})}}),
            "has no tensor 'weigth'");
    refused(load(list_of(kMask, "weight", R"("original_shape": [2, 3], "buffer": true)"), kTensors),
            "has no tensor 'weight'");
    refused(load(list_of(kMask, "weight", ""), kTensors), "original_shape");
    refused(load(list_of(kMask, "weight", R"("original_shape": [-2, 3])"), kTensors), "ParametrizationList");
    refused(load(list_of(kMask, "weight", R"("original_shape": [2, 3], "originals": -1)"), kTensors),
            "originals must be in");
    refused(load(list_of(kMask, "weight", R"("original_shape": [2, 3], "originals": 4000000000)"), kTensors),
            "originals must be in");
    refused(load(list_of(kMask, "weight", R"("original_shape": [2, 3], "original_dtype": "float7")"), kTensors),
            "unknown dtype 'float7'");
    refused(load(list_of(kMask, "weight", R"("original_shape": [3, 3])"), kTensors),
            "shape of 'parametrizations.weight.original'");
    // The mask does not fit what it masks.
    refused(load(list_of(R"({"type": "FakeSparsity", "args": {"shape": [3]}, "name": "0"})"),
                 {{"parametrizations.weight.original", ones({2, 3})}, {"parametrizations.weight.0.mask", ones({3})}}),
            "'weight' cannot be computed");
    refused(load(list_of(R"({"type": "FakeSparsity", "name": "0"})"), kTensors), "shape");
    // Sizes that no memory holds, and a mask whose bits are not there.
    const std::string huge =
        load(list_of(R"({"type": "FakeSparsity", "args": {"shape": [1152921504606846976]}, "name": "0"})"), kTensors);
    CHECK((huge.starts_with("FormatError") || huge.starts_with("LimitError")));
    refused(load(list_of(R"({"type": "FakeSparsity", "args": {"shape": [2000, 2000]}, "name": "0"})"),
                 {{"parametrizations.weight.original", ones({2, 3})},
                  {"parametrizations.weight.0.mask", ones({2}).to(Dtype::u8)}}),
            "bits");
    // A layer could blow two small tensors up to any size; a stand-in must have the shape of what it stands for.
    refused(load(list_of(R"({"type": "Linear", "args": {"in_features": 3, "out_features": 3}, "name": "0"})"),
                 {{"parametrizations.weight.original", ones({2, 3})},
                  {"parametrizations.weight.0.weight", ones({3, 3})},
                  {"parametrizations.weight.0.bias", ones({3})}}),
            "Linear as a parametrization of 'weight'");
    refused(load(list_of(R"({"type": "Identity", "name": "0"})", "weight", R"("original_shape": [5, 7])"),
                 {{"parametrizations.weight.original", ones({5, 7})}}),
            "it has shape (5, 7) where the module needs (2, 3)");
    // Types that keep the shape cannot change it, whatever the file says of them; and integers are no weights.
    const auto unsafe = [](const std::string& shape) {
      return R"("original_shape": )" + shape + R"(, "unsafe": true)";
    };
    const std::string identity = R"({"type": "Identity", "name": "0"})";
    CHECK(load(list_of(identity, "weight", unsafe("[2, 3]")), {{"parametrizations.weight.original", ones({2, 3})}}) ==
          "accepted");
    refused(load(list_of(identity, "weight", unsafe("[5, 7]")), {{"parametrizations.weight.original", ones({5, 7})}}),
            "'weight' cannot be computed: it has shape (5, 7) where the module needs (2, 3)");
    refused(load(list_of(identity, "weight", unsafe("[]")), {{"parametrizations.weight.original", Tensor::of(1)}}),
            "'weight' cannot be computed: it has shape () where the module needs (2, 3)");
    refused(load(list_of(kMask, "weight", unsafe("[5, 7]")), {{"parametrizations.weight.original", ones({5, 7})},
                                                              {"parametrizations.weight.0.mask", ones({2, 3})}}),
            "mask (2, 3) for a tensor of shape (5, 7)");
    refused(load(list_of(R"({"type": "FakeSparsity", "args": {"shape": [2, 3], "dtype": "int64"}, "name": "0"})",
                         "weight", R"("original_shape": [2, 3], "original_dtype": "int64")"),
                 {{"parametrizations.weight.original", full({2, 3}, 0x1p62, Dtype::i64)},
                  {"parametrizations.weight.0.mask", full({2, 3}, 4, Dtype::i64)}}),
            "'weight' cannot be computed: it is int64 where the module needs float32");
    refused(load(kMask, kTensors), "unexpected");
    refused(load(R"({"type": "ReLU", "name": "weight"})", kTensors), "unexpected");
    CHECK(load(list_of(kMask) + ", " + list_of(kMask), kTensors).starts_with("FormatError"));
  }

  TEST_CASE("the flags of a program's type are what files may make of it") {
    know_counted<0>({});
    know_counted<1>({.keeps_shape = true});
    know_counted<2>({.parametrizes = false});
    const NamedTensors fits{{"parametrizations.weight.original", ones({2, 3})}};
    const auto list = [](const std::string& type, const std::string& args = R"("original_shape": [2, 3])") {
      return list_of(R"({"type": ")" + type + R"(", "name": "0"})", "weight", args);
    };
    computed = 0;
    CHECK(load(list("test.Free"), fits) == "accepted");
    CHECK(computed == 1);
    CHECK(load(list("test.Same"), fits) == "accepted");
    CHECK(computed == 1);  // the row says what it would give
    const NamedTensors large{{"parametrizations.weight.original", ones({5, 7})}};
    const std::string unsafe = R"("original_shape": [5, 7], "unsafe": true)";
    CHECK(load(list("test.Free", unsafe), large) == "accepted");
    CHECK(load(list("test.Same", unsafe), large).find("it has shape (5, 7) where the module needs (2, 3)") !=
          std::string::npos);
    const std::string never = load(list("test.Never"), fits);
    CHECK(never.starts_with("FormatError: "));
    CHECK(never.find("as a parametrization of 'weight': its type is none of those that may parametrize in a file") !=
          never.npos);
    Linear m(3, 2);
    register_parametrization(m, "weight", std::make_shared<Counted<2>>());
    const TempDir dir;
    CHECK_THROWS_WITH_AS(nn::save_model(m, dir / "m.safetensors"),
                         doctest::Contains("test.Never is none of the types that may parametrize in a file"),
                         NotSupported);
    CHECK(dir.size() == 0);
  }

  TEST_CASE("names of a file reach messages with their control characters made visible, and files their name") {
    const auto refused = [](const std::string& said, const std::string& fragment) {
      CAPTURE(said);
      CHECK(said.starts_with("FormatError: [load_model] '"));
      CHECK(said.find("bad.safetensors'") != said.npos);
      CHECK(said.find(fragment) != said.npos);
      CHECK(said.find_first_of("\n\x1b") == said.npos);
    };
    const std::string name = R"(x\ncoppice: everything holds\u001b[8m)";
    const std::string seen = R"('x\x0acoppice: everything holds\x1b[8m')";
    refused(load(list_of(R"({"type": "Identity", "name": "0"})", name)), "Linear has no tensor " + seen);
    // A mask whose name a child has.
    refused(load(R"({"type": "ParametrizationList", "name": "weight", "args": {"original_shape": [2, 3]},
                     "masked": {"original": []}, "modules": [{"type": "Identity", "name": "0"},
                                                             {"type": "Identity", "name": "original_mask"}]})",
                 {{"parametrizations.weight.original_orig", ones({2, 3})}}),
            "the mask of 'parametrizations.weight.original': [set_mask] ParametrizationList already has "
            "'original_orig' or 'original_mask'");
  }
}
