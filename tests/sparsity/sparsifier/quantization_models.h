#pragma once
/// The seven models of test_sparsity_utils.py, after torch/testing/_internal/common_quantization.py.

#include <string>
#include <utility>
#include <vector>

#include "coppice/engine.h"
#include "coppice/nn.h"

namespace coppice::testing {

/// fc1, then 5 more, then fc2.
class LinearAddModel final : public nn::Implements<LinearAddModel> {
 public:
  static constexpr std::string_view kType = "LinearAddModel";
  nn::Child<nn::Linear> fc1{*this, "fc1", 5, 8};
  nn::Child<nn::Linear> fc2{*this, "fc2", 8, 5};

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return fc2(fc1(x) + 5); }
};

/// Sums of embeddings into a Linear. Nothing is quantised: quant and dequant are the identity, as the stubs of the
/// original are until it is converted.
class ManualEmbeddingBagLinear final : public nn::Implements<ManualEmbeddingBagLinear, nn::Module> {
 public:
  static constexpr std::string_view kType = "ManualEmbeddingBagLinear";
  nn::Child<nn::EmbeddingBag> emb{*this, "emb", 10, 12, BagMode::sum};
  nn::Child<nn::Identity> quant{*this, "quant"};
  nn::Child<nn::Identity> dequant{*this, "dequant"};
  nn::Child<nn::Linear> linear{*this, "linear", 12, 1};

 protected:
  [[nodiscard]] TensorList forward(const TensorList& inputs) const override {
    return {dequant(linear(quant(emb(inputs).at(0))))};
  }
};

/// A product with tensors that are no parameters.
class FunctionalLinear final : public nn::Implements<FunctionalLinear> {
 public:
  static constexpr std::string_view kType = "FunctionalLinear";
  FunctionalLinear() {
    set_tensor("weight", rand({5, 5}));
    set_tensor("bias", zeros({5}));
  }

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override {
    return coppice::linear(x, tensor("weight"), tensor("bias"));
  }
};

/// ConvModel, SingleLayerLinearModel, TwoLayerLinearModel, LinearAddModel, ConvBnReLUModel, ManualEmbeddingBagLinear,
/// FunctionalLinear.
[[nodiscard]] inline std::vector<nn::ModulePtr> quantization_models() {
  using Named = std::pair<std::string, nn::ModulePtr>;
  const auto chain = [](std::initializer_list<Named> layers) { return std::make_shared<nn::Sequential>(layers); };
  const auto conv = [] {
    return std::make_shared<nn::Conv2d>(
        nn::ConvSettings{.in_channels = 3, .out_channels = 5, .kernel_size = {3, 3}, .options = {}, .bias = false});
  };
  return {
      chain({{"conv", conv()}}),
      chain({{"fc1", std::make_shared<nn::Linear>(5, 5)}}),
      chain({{"fc1", std::make_shared<nn::Linear>(5, 8)}, {"fc2", std::make_shared<nn::Linear>(8, 5)}}),
      std::make_shared<LinearAddModel>(),
      chain({{"conv", conv()}, {"bn", std::make_shared<nn::BatchNorm2d>(5)}, {"relu", std::make_shared<nn::ReLU>()}}),
      std::make_shared<ManualEmbeddingBagLinear>(),
      std::make_shared<FunctionalLinear>()};
}

}  // namespace coppice::testing
