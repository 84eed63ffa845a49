// Twenty training steps against PyTorch's parameters, from the same checkpoints and batches (make_training.py).
#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/nn.h"

namespace {

using namespace coppice;

const std::string kTests = COPPICE_TESTS_DIR "/";

struct Setup {
  std::string name, checkpoint, architecture;
  Shape sample;
};

const std::vector<Setup> kModels{
    {"lenet", "../sparsity/data/lenet_digits.pt", "../sparsity/data/lenet_digits.arch.json", {1, 8, 8}},
    {"mlp", "data/mlp_digits.pt", "data/mlp_digits.arch.json", {64}},
    {"lstm", "data/lstm_digits.pt", "data/lstm_digits.arch.json", {8, 8}}};

std::unique_ptr<nn::Optimizer> make_optimizer(const std::string& name, TensorList p) {
  using nn::Adam, nn::AdamW, nn::SGD;
  if (name == "sgd")
    return std::make_unique<SGD>(p,
                                 nn::SgdOptions{.lr = 0.01, .momentum = 0.9, .weight_decay = 1e-3, .nesterov = true});
  if (name == "sgd_plain") return std::make_unique<SGD>(p, nn::SgdOptions{.lr = 0.05});
  if (name == "sgd_dampened")
    return std::make_unique<SGD>(p, nn::SgdOptions{.lr = 0.01, .momentum = 0.9, .dampening = 0.5});
  if (name == "adam") return std::make_unique<Adam>(p, nn::AdamOptions{.lr = 2e-4, .weight_decay = 1e-3});
  if (name == "adam_amsgrad") return std::make_unique<Adam>(p, nn::AdamOptions{.amsgrad = true});
  REQUIRE(name == "adamw");
  return std::make_unique<AdamW>(p, nn::AdamOptions{.weight_decay = 0.05});
}

/// The elements that the golden file holds.
std::vector<float> sampled(const Tensor& t) {
  const auto all = t.to_vector<float>();
  if (all.size() <= 2048) return all;
  std::vector<float> out;
  for (std::size_t i = 0; i < all.size(); i += 97) out.push_back(all[i]);
  return out;
}

Shape with_batch(const Shape& sample, std::int64_t n) {
  std::vector<std::int64_t> sizes(sample.begin(), sample.end());
  sizes.insert(sizes.begin(), n);
  return Shape(sizes);
}

nn::ModulePtr load(const Setup& setup) {
  const nn::ModulePtr model = nn::read_architecture(kTests + setup.architecture);
  nn::load_state_dict(*model, read_torch(kTests + setup.checkpoint));
  return model;
}

TEST_SUITE("golden/training") {
  TEST_CASE("parameters after 20 steps equal PyTorch's within 1e-4") {
    const NamedTensors golden = read_npz(kTests + "golden/training.npz");
    const Tensor pixels = golden.at("pixels").to(Dtype::f32) / 16.0;
    const Tensor classes = golden.at("classes");
    int runs = 0;
    for (const Setup& setup : kModels)
      for (const char* optimizer_name : {"sgd", "sgd_plain", "sgd_dampened", "adam", "adam_amsgrad", "adamw"}) {
        const std::string key = setup.name + "/" + optimizer_name + "/";
        const nn::ModulePtr model = load(setup);
        if (!golden.contains(key + model->named_parameters()[0].first)) continue;
        CAPTURE(key);
        const auto optimizer = make_optimizer(optimizer_name, model->parameters());
        for (std::int64_t step = 0; step < 20; ++step) {
          const Tensor x = narrow(pixels, 0, 32 * step, 32).reshape(with_batch(setup.sample, 32));
          optimizer->zero_grad();
          cross_entropy((*model)(x), narrow(classes, 0, 32 * step, 32)).backward();
          optimizer->step();
        }
        for (const auto& [name, parameter] : model->named_parameters()) {
          const auto& shown = name;  // Clang 14 cannot capture a structured binding
          CAPTURE(shown);
          const Tensor theirs = golden.at(key + name);
          const auto ours = sampled(parameter);
          CHECK(max_difference(Tensor::from(ours, Shape{theirs.numel()}), theirs) < 1e-4);
        }
        ++runs;
      }
    CHECK(runs == 14);
  }

  TEST_CASE("logits of the checkpoints equal PyTorch's within 1e-4") {
    for (const Setup& setup : kModels) {
      CAPTURE(setup.name);
      const nn::ModulePtr model = load(setup);
      model->eval();
      const Tensor logits = read_npy(kTests + "data/" + setup.name + "_digits_logits.npy");
      CHECK(logits.shape() == Shape{360, 10});
      const NamedTensors golden = read_npz(kTests + "golden/training.npz");
      CHECK(golden.at("test_pixels").size(0) == 360);
      const Tensor x = (golden.at("test_pixels").to(Dtype::f32) / 16.0).reshape(with_batch(setup.sample, 360));
      NoGrad guard;
      CHECK(max_difference((*model)(x), logits) < 1e-4);
    }
  }
}

}  // namespace
