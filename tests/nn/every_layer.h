#pragma once
/// One module of every registered type, with settings that differ from the defaults, and an input for each.

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "coppice/engine/create.h"
#include "coppice/engine/random.h"
#include "coppice/nn.h"

namespace coppice::test {

struct Layer {
  std::string name;
  nn::ModulePtr module;
};

/// Fresh modules with the same numbers at every call.
inline std::vector<Layer> every_layer() {
  using namespace nn;
  manual_seed(1);
  const Tensor sparse = Tensor::of({{0, 1, 0, 2}, {0, 0, 0, 0}, {3, 0, 0, 0}, {0, 0, 4, 5}, {0, 6, 0, 0}});
  const Tensor image = sparse.reshape({5, 1, 2, 2});
  const Tensor bias = Tensor::of({1, 2, 3, 4, 5});
  std::vector<Layer> all{
      {"Linear", std::make_shared<Linear>(3, 2)},
      {"Linear without bias", std::make_shared<Linear>(3, 2, false)},
      {"Identity", std::make_shared<Identity>()},
      {"Flatten", std::make_shared<Flatten>(0, 1)},
      {"Conv1d",
       std::make_shared<Conv1d>(ConvSettings{2, 4, {3}, {.stride = {2}, .padding = {1}, .dilation = {2}}, false})},
      {"Conv2d",
       std::make_shared<Conv2d>(ConvSettings{2, 4, {3, 2}, {.stride = {1, 2}, .padding = {1, 0}, .groups = 2}, true})},
      {"Conv3d", std::make_shared<Conv3d>(ConvSettings{1, 2, {2}, {}, true})},
      {"ReLU", std::make_shared<ReLU>()},
      {"Sigmoid", std::make_shared<Sigmoid>()},
      {"Tanh", std::make_shared<Tanh>()},
      {"GELU", std::make_shared<GELU>(true)},
      {"Softmax", std::make_shared<Softmax>(0)},
      {"Dropout", std::make_shared<Dropout>(0.25)},
      {"MaxPool2d",
       std::make_shared<MaxPool2d>(PoolOptions{.kernel = {2, 3}, .stride = Pair{1, 2}, .padding = {1, 1}})},
      {"AvgPool2d",
       std::make_shared<AvgPool2d>(PoolOptions{.kernel = {2, 2}, .ceil_mode = true, .divisor_override = 3})},
      {"AdaptiveAvgPool2d", std::make_shared<AdaptiveAvgPool2d>(Pair{2, 3})},
      {"BatchNorm1d", std::make_shared<BatchNorm1d>(BatchNormSettings{3, 1e-3, 0.2, false, true})},
      {"BatchNorm2d", std::make_shared<BatchNorm2d>(BatchNormSettings{2, 1e-5, std::nullopt, true, true})},
      {"BatchNorm1d without statistics", std::make_shared<BatchNorm1d>(BatchNormSettings{3, 1e-5, 0.1, true, false})},
      {"LayerNorm", std::make_shared<LayerNorm>(std::vector<std::int64_t>{2, 3}, 1e-4, true, false)},
      {"LayerNorm without weight", std::make_shared<LayerNorm>(std::vector<std::int64_t>{3}, 1e-4, false)},
      {"Embedding", std::make_shared<Embedding>(5, 3, -1)},
      {"EmbeddingBag", std::make_shared<EmbeddingBag>(5, 3, BagMode::max, 2)},
      {"LSTM", std::make_shared<LSTM>(LstmSettings{3, 4, 2, true, true, 0.1, true, 2})},
      {"LSTM without bias", std::make_shared<LSTM>(LstmSettings{.input_size = 3, .hidden_size = 4, .bias = false})},
      {"LastStep", std::make_shared<LastStep>(false)},
      {"CrossEntropyLoss", std::make_shared<CrossEntropyLoss>(Reduction::sum)},
      {"MSELoss", std::make_shared<MSELoss>(Reduction::none)},
  };
  for (const PackedFormat format : packing_formats()) {
    const std::string word(format.name());
    all.push_back({"PackedLinear " + word, PackedLinear::from_dense(sparse, bias, format)});
    all.push_back(
        {"PackedConv2d " + word, PackedConv2d::from_dense(image, {}, {.stride = {1, 2}, .padding = {1}}, format)});
  }
  // Numbers that a fresh module does not have.
  for (const auto& [name, module] : all)
    if (Tensor mean = module->find_tensor("running_mean"); mean.defined()) mean.copy_(rand(mean.shape()));
  return all;
}

/// Inputs that the layer takes.
inline TensorList input_for(const nn::Module& m) {
  Generator generator(3);
  const auto draw = [&](const Shape& shape) { return randn(shape, Dtype::f32, &generator); };
  const std::string_view type = m.type_name();
  if (type == "Conv1d") return {draw({2, 2, 9})};
  if (type == "Conv2d" || type == "BatchNorm2d" || type.find("Pool2d") != type.npos) return {draw({2, 2, 6, 7})};
  if (type == "Conv3d") return {draw({2, 1, 3, 4, 5})};
  if (type == "Embedding") return {randint(0, 5, {2, 3}, Dtype::i64, &generator)};
  if (type == "EmbeddingBag")
    return {randint(0, 5, {6}, Dtype::i64, &generator), Tensor::from(std::vector<std::int64_t>{0, 2}, {2})};
  if (type == "LSTM" || type == "LastStep") return {draw({2, 5, 3})};
  if (type == "CrossEntropyLoss") return {draw({4, 3}), randint(0, 3, {4}, Dtype::i64, &generator)};
  if (type == "MSELoss") return {draw({4, 3}), draw({4, 3})};
  if (type == "PackedLinear") return {draw({3, 4})};
  if (type == "PackedConv2d") return {draw({2, 1, 5, 6})};
  return {draw({2, 3})};
}

}  // namespace coppice::test
