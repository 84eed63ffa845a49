/// Model files that earlier versions of this library wrote: they load for ever, and models that need nothing newer are
/// still written so.
#include <algorithm>

#include "coppice/engine/autograd.h"
#include "coppice/engine/io/safetensors.h"
#include "coppice/engine/version.h"
#include "coppice/nn/io/model_file.h"
#include "engine/io/io_support.h"
#include "nn/every_layer.h"

using namespace coppice;
using namespace coppice::test;

namespace {

/// Small whole numbers.
Tensor numbers(const Shape& shape) {
  std::vector<float> out;
  for (std::int64_t i = 0; i < shape.numel(); ++i) out.push_back(static_cast<float>(7 * i % 5 - 2));
  return Tensor::from(out, shape);
}

/// What tests/data/model_format_1.safetensors holds: every kind of argument that format 1 knows, masks with a history,
/// a parametrization, what is frozen.
nn::ModulePtr model_of_format_1() {
  const auto conv = std::make_shared<nn::Conv2d>(nn::ConvSettings{1, 2, {2}, {.padding = {1, 0}}, true});
  const auto hidden = std::make_shared<nn::Linear>(6, 4);
  const auto second = std::make_shared<nn::Linear>(4, 3, false);
  for (const auto* module : {static_cast<nn::Module*>(conv.get()), static_cast<nn::Module*>(hidden.get()),
                             static_cast<nn::Module*>(second.get())})
    for (const auto& [name, parameter] : module->own_parameters()) {
      Tensor own = parameter;
      if (own.defined()) own.replace_(numbers(own.shape()));
    }
  Tensor bias = conv->tensor("bias");
  bias.requires_grad_(false);
  nn::set_mask(*hidden, "weight",
               Tensor::of({{1, 0, 1, 1, 0, 1}, {0, 1, 1, 0, 1, 1}, {1, 1, 0, 0, 1, 1}, {1, 1, 1, 1, 0, 0}}),
               std::make_shared<nn::MaskHistory>(std::vector<nn::MaskStep>{
                   {"L1Unstructured", {{"amount", 0.25}}}, {"RandomUnstructured", {{"amount", std::int64_t{2}}}}}));
  const auto sparse = std::make_shared<nn::FakeSparsity>(Tensor::of({{1, 1, 0, 1}, {0, 1, 1, 1}, {1, 0, 1, 0}}));
  nn::parametrize::register_parametrization(*second, "weight", sparse);
  return std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{
      conv, std::make_shared<nn::BatchNorm2d>(nn::BatchNormSettings{2, 1e-3, std::nullopt, true, true}),
      std::make_shared<nn::MaxPool2d>(PoolOptions{.kernel = {2, 1}, .stride = Pair{1, 1}}),
      std::make_shared<nn::Dropout>(0.25), std::make_shared<nn::Flatten>(), hidden, std::make_shared<nn::GELU>(true),
      second});
}

Tensor input() { return Tensor::of({1, -2, 3, 0, 2, 1}).reshape({2, 1, 3, 1}).reshape({1, 1, 3, 2}); }

}  // namespace

TEST_SUITE("nn/io/stored_formats") {
  TEST_CASE("a file of format 1 loads to the same values, settings and results") {
    const nn::ModulePtr own = model_of_format_1();
    own->eval();
    for (const bool map : {true, false}) {
      const nn::ModulePtr back = nn::load_model(kData / "model_format_1.safetensors", {.map = map});
      CHECK(back->describe() == own->describe());
      check_same_bits(nn::state_dict(*back), [&] {
        NamedTensors expected = nn::state_dict(*own);  // but that removed values are 0
        expected.set("5.weight_orig", expected.at("5.weight_orig") * expected.at("5.weight_mask") + 0.0);
        return expected;
      }());
      for (const auto& [path, parameter] : back->named_parameters())
        CHECK(parameter.requires_grad() == (path != "0.bias"));
      const auto steps = nn::mask_origin(*back->child("5"), "weight")->steps();
      REQUIRE(steps.size() == 2);
      CHECK(steps[0].type == "L1Unstructured");
      CHECK(steps[0].arguments == nn::Arguments{{"amount", 0.25}});
      CHECK(steps[1].arguments == nn::Arguments{{"amount", std::int64_t{2}}});
      const NoGrad off;
      CHECK((*back)(input()) == (*own)(input()));
      CHECK(allclose((*back)(input()), Tensor::of({{-8.9950, 18.3077, -27.9880}}), Tolerance{1e-5, 1e-4}));
    }
  }

  TEST_CASE("a model that needs no more is still written as format 1, byte by byte") {
    const TempDir dir;
    nn::save_model(*model_of_format_1(), dir / "m.safetensors", {{"note", "of an early version"}});
    std::string then = slurp(kData / "model_format_1.safetensors"), now = slurp(dir / "m.safetensors");
    const std::string producer = cat("coppice ", kVersion);
    if (producer != "coppice 0.1.0") {  // its length moves the rest, and the checksum of the header changes
      then = read_safetensors(kData / "model_format_1.safetensors").metadata().at(nn::kModelKey);
      now = read_safetensors(dir / "m.safetensors").metadata().at(nn::kModelKey);
      REQUIRE(now.find(producer) != now.npos);
      now.replace(now.find(producer), producer.size(), "coppice 0.1.0");
    }
    CHECK(now == then);
  }
}
