// Which of equal weights and blocks go where a sparsifier chooses among all of them.
#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/training/finetune.h"

using namespace coppice;
using namespace coppice::sparsity;
using nn::Linear;

namespace {

/// Weights of 32x4 and 3x32, all of them 0.5.
std::shared_ptr<nn::Sequential> level_net() {
  const auto model = std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{
      std::make_shared<Linear>(4, 32), std::make_shared<nn::ReLU>(), std::make_shared<Linear>(32, 3)});
  for (const int layer : {0, 2}) model->at(layer)->tensor("weight").detach().fill_(0.5);
  return model;
}

/// The masks of half of all weights, chosen at once.
TensorList masks(const std::optional<Block>& block, TieRule ties) {
  Generator g(1);
  const Tensor x = randn({40, 4}, Dtype::f32, &g);
  FinetuneOptions o;
  o.epochs = 1, o.sparsity = 0.5, o.block = block, o.curve = Curve::constant, o.ties = ties;
  const auto model = level_net();
  finetune(*model, make_dataset(x, argmax(narrow(x, 1, 0, 3), 1)), o);
  return {model->at(0)->tensor("weight_mask"), model->at(2)->tensor("weight_mask")};
}

/// Those of one equal score for each block of 1 x width.
TensorList wanted(std::int64_t width, TieRule ties) {
  const TensorList scores{ones({32, 4 / width}), ones({3, 32 / width})};
  TensorList out = select_masks(scores, {.count = (32 * 4 + 3 * 32) / 2 / width, .ties = ties});
  for (Tensor& mask : out) {
    const std::int64_t rows = mask.size(0), cols = mask.size(1);
    mask = stack(TensorList(static_cast<std::size_t>(width), mask), 2).reshape({rows, cols * width});
  }
  return out;
}

}  // namespace

TEST_SUITE("sparsity/training/finetune/ties") {
  TEST_CASE("blocks of all weights together, and single weights along another curve, follow the tie rule") {
    for (const std::optional<Block>& block : {std::optional<Block>(), std::optional(Block{1, 2})}) {
      const std::int64_t width = block ? 2 : 1;
      CAPTURE(width);
      const TensorList lowest = masks(block, TieRule::lowest_index), pytorch = masks(block, TieRule::pytorch);
      CHECK(lowest == wanted(width, TieRule::lowest_index));
      CHECK(pytorch == wanted(width, TieRule::pytorch));
      CHECK_FALSE(lowest == pytorch);
    }
  }
}
