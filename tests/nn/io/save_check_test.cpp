/// What no reader would take is refused before anything is written.
#include "coppice/nn/io/model_file.h"
#include "engine/io/io_support.h"
#include "nn/every_layer.h"
#include "nn/parametrizations.h"

using namespace coppice;
using namespace coppice::test;
using nn::Linear, nn::ModulePtr;

namespace {

/// What saving says; where it accepts, loading must too.
std::string saved(const nn::Module& model) {
  const TempDir dir;
  const std::string said = outcome([&] {
    nn::save_model(model, dir / "m.safetensors");
    return 0;
  });
  CAPTURE(said);
  if (said == "accepted") {
    CHECK(outcome([&] { return nn::load_model(dir / "m.safetensors"); }) == "accepted");
  } else {
    CHECK(dir.size() == 0);
  }
  return said;
}

void check_refused(const nn::Module& model, const std::string& category, const std::string& fragment) {
  const std::string said = saved(model);
  CAPTURE(said);
  CHECK(said.starts_with(category + ": [save_model] "));
  CHECK(said.find(fragment) != said.npos);
  CHECK(said.size() < 500);
}

/// An LSTM of `layers` times eight parameters, all of them masked.
ModulePtr masked_lstm(std::int64_t layers) {
  const nn::SkipInit no_random_numbers;
  const auto lstm = std::make_shared<nn::LSTM>(
      nn::LstmSettings{.input_size = 1, .hidden_size = 1, .num_layers = layers, .bidirectional = true});
  std::vector<std::string> names;
  for (const auto& [name, tensor] : lstm->own_parameters()) names.push_back(name);
  for (const std::string& name : names) nn::set_mask(*lstm, name, ones(lstm->tensor(name).shape()));
  return lstm;
}

/// The first of N originals; the others are small integers.
template <int N>
class FirstOf final : public nn::Implements<FirstOf<N>, nn::Module>, public nn::parametrize::RightInverse {
 public:
  static constexpr std::string_view kType = N == 400 ? "test.FirstOf400" : "test.FirstOf600";
  [[nodiscard]] nn::parametrize::Originals right_inverse(const Tensor& x) const override {
    TensorList out(N, Tensor());
    out[0] = x;
    for (std::size_t i = 1; i < out.size(); ++i) out[i] = ones({1}, Dtype::i8);
    return out;
  }

 protected:
  [[nodiscard]] TensorList forward(const TensorList& in) const override { return {in.at(0)}; }
};

template <int N>
std::string saved_with_originals() {
  using P = FirstOf<N>;
  if (!nn::is_registered(P::kType))
    nn::register_module(P::kType, [](const nn::Arguments&) { return std::make_shared<P>(); });
  Linear m(3, 2);
  nn::parametrize::register_parametrization(m, "weight", std::make_shared<P>());
  return saved(m);
}

}  // namespace

TEST_SUITE("nn/io/save_check") {
  TEST_CASE("masks: of 1000 tensors of a module, and eight on one tensor") {
    CHECK(saved(*masked_lstm(125)) == "accepted");
    check_refused(*masked_lstm(126), "ValueError", "an object has more than 1000 keys");
    Linear m(1, 1, false);
    std::string name = "weight";
    for (int i = 0; i < 8; ++i, name += "_orig") nn::attach_mask(m, name, ones({1, 1}));
    CHECK(saved(m) == "accepted");
    nn::attach_mask(m, name, ones({1, 1}));
    check_refused(m, "ValueError", cat("'", name, "' may have at most 8 masks"));
  }

  TEST_CASE("originals: a shape and a type for each stand in one object") {
    CHECK(saved_with_originals<400>() == "accepted");
    const std::string said = saved_with_originals<600>();
    CAPTURE(said);
    CHECK(said.starts_with("ValueError: [save_model] nobody could load the file: "));
  }

  TEST_CASE("numbers of an argument, modules, levels, paths") {
    CHECK(saved(nn::LayerNorm(std::vector<std::int64_t>(1000, 1), 1e-5, false)) == "accepted");
    check_refused(nn::LayerNorm(std::vector<std::int64_t>(1001, 1), 1e-5, false), "ValueError",
                  "argument 'normalized_shape' must have at most 1000 items; got 1001");
    nn::Sequential many;
    for (int i = 0; i < 20'000; ++i) many.append(std::make_shared<nn::ReLU>());
    CHECK(saved(many) == "accepted");
    many.append(std::make_shared<nn::ReLU>());
    check_refused(many, "ValueError", "at most 20000 modules");
    ModulePtr deep = std::make_shared<nn::ReLU>();
    for (int i = 0; i < 600; ++i) deep = std::make_shared<nn::Sequential>(std::initializer_list<ModulePtr>{deep});
    check_refused(*deep, "ValueError", "nested deeper than 1000 levels");
    const std::string name(4096, 'n');
    CHECK(saved(nn::Sequential{{name, std::make_shared<nn::ReLU>()}}) == "accepted");
    check_refused(nn::Sequential{{name + "n", std::make_shared<nn::ReLU>()}}, "ValueError",
                  "the path of a module must be at most 4096 bytes; got 4097");
    check_refused(nn::Sequential{{std::string("\xff"), std::make_shared<nn::ReLU>()}}, "ValueError", "UTF-8");
  }

  TEST_CASE("parameters and buffers: 100,000 in all") {
    const nn::SkipInit no_random_numbers;
    const auto lstm = std::make_shared<nn::LSTM>(
        nn::LstmSettings{.input_size = 1, .hidden_size = 2, .num_layers = 1000, .bidirectional = true, .proj_size = 1});
    nn::Sequential tree;  // the same one many times: a file holds it as often
    for (int i = 0; i < 11; ++i) tree.append(lstm);
    check_refused(tree, "ValueError", "at most 100000 parameters and buffers");
  }

  TEST_CASE("children and parametrizations that a reader does not take") {
    Linear crowded(2, 2);
    crowded.add_module("extra", std::make_shared<nn::ReLU>());
    check_refused(crowded, "NotSupported", "the top module: a Linear in a file takes no modules");
    Linear layered(3, 2);
    nn::parametrize::register_parametrization(layered, "weight", std::make_shared<Linear>(3, 3, false));
    check_refused(layered, "NotSupported", "nobody could load the parametrized 'weight': Linear is none of");
    if (!nn::is_registered(FirstRow::kType))
      nn::register_module(FirstRow::kType, [](const nn::Arguments&) { return std::make_shared<FirstRow>(); });
    Linear shrunk(3, 2);  // of one feature now, beside a bias of two
    nn::parametrize::register_parametrization(shrunk, "weight", std::make_shared<FirstRow>(), true);
    check_refused(shrunk, "NotSupported", "'bias' has shape (2,) where a new Linear has (1,)");
    nn::BatchNorm1d norm(3);
    norm.tensor("weight").replace_(ones({4}));
    check_refused(norm, "NotSupported", "'weight' has shape (4,) where a new BatchNorm1d has (3,)");
  }
}
