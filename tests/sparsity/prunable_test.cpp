#include "coppice/sparsity/prunable.h"

#include <doctest/doctest.h>

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/nn/layers/container.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/nn/layers/norm.h"
#include "coppice/nn/masks/fake_sparsity.h"
#include "coppice/nn/masks/masked.h"
#include "coppice/nn/packed/linear.h"
#include "coppice/nn/parametrize.h"

using namespace coppice;
using namespace coppice::sparsity;

TEST_SUITE("sparsity/prunable") {
  TEST_CASE("weights are floating, have two axes, and are called so") {
    CHECK(is_prunable("weight", ones({2, 2})));
    CHECK(is_prunable("a.b.weight_ih_l0", ones({2, 2})));
    CHECK_FALSE(is_prunable("a.bias", ones({2, 2})));
    CHECK_FALSE(is_prunable("weight.a", ones({2, 2})));
    CHECK_FALSE(is_prunable("weight", ones({2})));
    CHECK_FALSE(is_prunable("weight", ones({2, 2}, Dtype::i64)));
  }

  TEST_CASE(
      "directions and originals of weights are weights; gains, scales, norms and positions are not, and why is said") {
    const auto why = [](const std::string& name) { return left_by_default(name, ones({4, 2})); };
    for (const char* taken :
         {"weight_v", "conv.weight_v", "a.weight_orig", "lstm.weight_hh_l0", "lstm.weight_hh_l0_v",
          "0.parametrizations.weight.original", "0.parametrizations.weight.original1", "normal.weight", "plan.weight",
          "ffn.position_wise.weight", "wte.weight", "head.normaliser.weight"})
      CHECK_MESSAGE(why(taken) == "", taken);
    for (const char* gain : {"weight_g", "lstm.weight_hh_l0_g", "0.parametrizations.weight.original0"})
      CHECK_MESSAGE(why(gain) == "the gain of a weight norm", gain);
    for (const char* norm : {"ln_1.weight", "h.0.ln_f.weight", "bn2.weight", "LayerNorm.weight", "norm.weight",
                             "batchnorm2d.weight", "a.layer_norm1.weight", "gn.weight", "RMSNorm.weight"})
      CHECK_MESSAGE(why(norm) == "the weight of a norm", norm);
    for (const char* position : {"wpe.weight", "embeddings.position_embeddings.weight", "embed_positions.weight",
                                 "pos_embed.weight", "attention.relative_attention_bias.weight"})
      CHECK_MESSAGE(why(position) == "an embedding of positions", position);
    CHECK(why("fc.weight_scale") == "a scale of quantised numbers");
    CHECK(why("pos_embed") == "its name does not begin with weight");
    CHECK(why("0.parametrizations.bias.original") == "its name does not begin with weight");
    CHECK(left_by_default("weight", ones({4})) == "it has less than two axes");
    CHECK(left_by_default("weight", ones({4, 2}, Dtype::i8)) == "its type is int8");
  }

  TEST_CASE("entries and zeros are counted under masks of both families, and in packed layers") {
    const auto plain = std::make_shared<nn::Linear>(4, 2), masked = std::make_shared<nn::Linear>(4, 2),
               prepared = std::make_shared<nn::Linear>(4, 2);
    const NoGrad off;
    for (const auto& layer : {plain, masked, prepared}) layer->tensor("weight").fill_(1);
    plain->tensor("weight").set_({0, 0}, 0);
    const Tensor mask = Tensor::of({{1, 0, 0, 1}, {1, 1, 1, 1}});
    nn::set_mask(*masked, "weight", mask);
    nn::parametrize::register_parametrization(*prepared, "weight", std::make_shared<nn::FakeSparsity>(mask));
    const auto packed = nn::PackedLinear::from_dense(mask, Tensor(), "csr");
    const auto model = std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{
        plain, masked, prepared, packed, std::make_shared<nn::LayerNorm>(std::vector<std::int64_t>{2})});
    const WeightCount count = count_weights(*model);
    CHECK(count.weights == 32);
    CHECK(count.zeros == 1 + 2 + 2 + 2);
  }

  TEST_CASE("a bare checkpoint is counted as its model would be: originals under their masks, of both families") {
    const Tensor weight = Tensor::of({{1, 0}, {3, 4}}), mask = Tensor::of({{0, 0}, {1, 1}});
    const NamedTensors tensors{{"a.weight_orig", weight},
                               {"a.weight_mask", mask},
                               {"b.parametrizations.weight.original", weight},
                               {"b.parametrizations.weight.0.mask", mask},
                               {"c.weight", weight},
                               {"d.weight_orig", weight},
                               {"d.weight_mask", Tensor::of({0})},  // does not fit
                               {"e.weight_mask", mask},             // of nothing
                               {"bias", Tensor::of({0, 0})}};
    const WeightCount count = count_weights(tensors);
    CHECK(count.weights == 20);
    CHECK(count.zeros == 2 + 2 + 1 + 1 + 2);
    CHECK(count_weights(NamedTensors()).weights == 0);
    NamedTensors twice = tensors;
    twice.add("a.parametrizations.weight.original", weight);
    twice.add("a.parametrizations.weight.0.mask", mask);
    twice.add("b.weight", weight);
    CHECK(count_weights(twice).weights == count.weights);
    CHECK(count_weights(twice).zeros == count.zeros);
  }
}
