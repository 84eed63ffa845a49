/// Ten checks of the whole library, from a tensor to a pruned model in a file: the first thing to run after a change.

#include <doctest/doctest.h>

#include <cstdio>
#include <filesystem>

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/engine/io/load.h"
#include "coppice/engine/ops/linalg.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/engine/random.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/layers/activation.h"
#include "coppice/nn/layers/container.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/nn/masks/masked.h"
#include "coppice/nn/optim.h"
#include "coppice/sparsity/mask_ops.h"
#include "coppice/sparsity/training/finetune.h"
#include "support/approx.h"

using namespace coppice;
using testing::differs;

namespace {

std::shared_ptr<nn::Sequential> small_net() {
  manual_seed(0);
  return std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{
      std::make_shared<nn::Linear>(2, 16), std::make_shared<nn::ReLU>(), std::make_shared<nn::Linear>(16, 2)});
}

/// Points in [-1, 1]² whose class says on which side of a diagonal they lie.
sparsity::Dataset two_sides(std::int64_t n) {
  Generator generator(1);
  std::vector<float> x(static_cast<std::size_t>(2 * n));
  generator.uniform(std::span<float>(x), -1, 1);
  std::vector<std::int64_t> y;
  for (std::size_t i = 0; i < x.size(); i += 2) y.push_back(x[i] > x[i + 1] ? 1 : 0);
  return sparsity::make_dataset(Tensor::from(x, {n, 2}), Tensor::from(y, {n}));
}

}  // namespace

TEST_SUITE("tiny") {
  TEST_CASE("a product of matrices") {
    CHECK(matmul(Tensor::of({{1, 2}, {3, 4}}), Tensor::of({{5, 7}, {6, 8}})) == Tensor::of({{17, 23}, {39, 53}}));
  }

  TEST_CASE("a gradient") {
    Tensor w = Tensor::of({{1, 2}, {3, 4}});
    w.requires_grad_();
    sum(matmul(Tensor::of({{10, 20}}), w)).backward();
    CHECK(w.grad() == Tensor::of({{10, 10}, {20, 20}}));
  }

  TEST_CASE("PyTorch's random numbers: manual_seed(0), rand(3)") {
    manual_seed(0);
    CHECK(differs(rand({3}), Tensor::of({0.49625658988952637, 0.7682217955589294, 0.08847743272781372})) == "");
  }

  TEST_CASE("a layer names its tensors as PyTorch does") {
    const auto names = small_net()->named_parameters();
    REQUIRE(names.size() == 4);
    CHECK(names[0].first == "0.weight");
    CHECK(names[3].first == "2.bias");
  }

  TEST_CASE("one step of SGD goes down") {
    Tensor w = Tensor::of({3});
    w.requires_grad_();
    nn::SGD optimizer({w}, {.lr = 0.5});
    sum(w).backward();
    optimizer.step();
    CHECK(w.detach() == Tensor::of({2.5}));
  }

  TEST_CASE("magnitude pruning takes the smallest, and of equals the first") {
    CHECK(sparsity::mask_smallest(Tensor::of({3, -1, 1, -2}), 1) == Tensor::of({1, 0, 1, 1}));
  }

  TEST_CASE("a masked weight is read masked and trained masked") {
    nn::Linear layer(2, 1, false);
    nn::attach_mask(layer, "weight", Tensor::of({{0, 1}}));
    sum(layer(Tensor::of({{5, 7}}))).backward();
    CHECK(layer.tensor("weight").at({0, 0}) == 0);
    CHECK(layer.tensor("weight_orig").grad() == Tensor::of({{0, 7}}));
  }

  TEST_CASE("fine-tuning reaches the sparsity and still learns") {
    const auto net = small_net();
    const auto data = two_sides(400);
    sparsity::FinetuneOptions options;
    options.epochs = 30, options.lr = 0.02, options.sparsity = 0.5, options.patience = 0;
    sparsity::finetune(*net, data, options);
    const Tensor w0 = net->at(0)->tensor("weight"), w2 = net->at(2)->tensor("weight");
    CHECK(sparsity::sparsity_of(w0) * 32 + sparsity::sparsity_of(w2) * 32 == 32);  // half of 64 weights
    CHECK(sparsity::evaluate(*net, data).correct > 380);
  }

  TEST_CASE("a model survives its file") {
    const auto net = small_net();
    nn::attach_mask(*net->at(0), "weight", sparsity::mask_smallest(net->at(0)->tensor("weight"), 16));
    const auto path = std::filesystem::temp_directory_path() / "coppice_tiny_test.safetensors";
    nn::save_model(*net, path);
    const auto again = nn::load_model(path);
    const Tensor x = Tensor::of({{0.5, -2}, {1, 3}});
    CHECK((*again)(x) == (*net)(x));
    std::filesystem::remove(path);
  }

  TEST_CASE("a checkpoint that PyTorch wrote") {
    const NamedTensors tensors = load_tensors(COPPICE_TESTS_DIR "/data/mlp_digits.pt");
    std::int64_t parameters = 0;
    for (const auto& [name, tensor] : tensors) parameters += tensor.numel();
    CHECK(parameters == 50610);
  }
}
