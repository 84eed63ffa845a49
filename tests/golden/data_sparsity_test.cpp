// Random configurations of the data norm and activation sparsifiers against PyTorch's masks (make_data_sparsity.py),
// bit for bit, and what leaves a squashed layer.
#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/activation/activation_sparsifier.h"
#include "coppice/sparsity/data/data_norm_sparsifier.h"
#include "stored_arrays.h"

namespace {

using namespace coppice;
using namespace coppice::sparsity;
using coppice::testing::StoredBits;
using coppice::testing::StoredValues;
using nlohmann::json;

const std::string kGolden = COPPICE_TESTS_DIR "/golden/";

Shape shape_of(const json& sizes) { return Shape(sizes.get<std::vector<std::int64_t>>()); }

AggregateFunction aggregate_of(const std::string& name) {
  if (name != "maximum") return AggregateFunction(name);
  return std::function<AggregateSignature>([](const Tensor& a, const Tensor& x) { return maximum(a, x); });
}

ActivationOptions options_of(const json& c) {
  ActivationOptions out{.aggregate_fn = aggregate_of(c.at("aggregate")),
                        .reduce_fn = ReduceFunction(c.at("reduce").get<std::string>()),
                        .mask_fn = MaskFunction(c.at("mask").get<std::string>())};
  if (c.contains("features")) {
    out.features = c.at("features").get<std::vector<std::int64_t>>();
    out.feature_dim = c.at("dim").get<std::int64_t>();
  }
  for (const auto& [key, value] : c.at("config").items())
    out.sparse_config.set(
        key, value.is_number_integer() ? Argument(value.get<std::int64_t>()) : Argument(value.get<double>()));
  return out;
}

}  // namespace

TEST_SUITE("golden/data_sparsity") {
  TEST_CASE("600 matrices and 235 layers, 200 with masks: these and the outputs equal PyTorch's") {
    const json golden = json::parse(std::ifstream(kGolden + "data_sparsity.json"));
    const NamedTensors arrays = read_npz(kGolden + "data_sparsity.npz");
    StoredValues values(arrays.at("values")), outputs(arrays.at("outputs"));
    StoredBits bits(arrays.at("masks"));
    std::size_t matrices = 0, layers = 0, masked_layers = 0, layer_masks = 0;
    for (const json& c : golden.at("norm")) {
      const std::string text = c.dump();
      CAPTURE(text);
      const Tensor data = values.next(shape_of(c.at("shape"))).to(c.at("dtype") == "float64" ? Dtype::f64 : Dtype::f32);
      DataNormSparsifier s({.sparse_block_shape = c.at("block").get<std::array<std::int64_t, 2>>(),
                            .zeros_per_block = c.at("zeros").get<std::int64_t>(),
                            .norm = c.at("norm").get<std::string>(),
                            .compat = c.contains("compat")});
      s.add_data("data", data);
      for (const json& level : c.at("levels")) {
        s.set_config("data", "sparsity_level", level.get<double>());
        s.step();
        CHECK(s.get_mask("data").dtype() == Dtype::i8);
        CHECK(s.get_mask("data").shape() == data.shape());
        CHECK(bits.differing(s.get_mask("data")) == 0);
        ++matrices;
      }
    }
    for (const json& c : golden.at("activation")) {
      const std::string text = c.dump();
      CAPTURE(text);
      nn::Sequential model{std::make_shared<nn::Identity>()};
      ActivationSparsifier s(model);
      s.register_layer(*model.at(0), options_of(c));
      Tensor x;
      for (int pass = 0; pass < c.at("passes").get<int>(); ++pass) {
        x = values.next(shape_of(c.at("shape")));
        (void)model(x);
      }
      s.step();
      const ActivationSparsifier::Mask mask = s.get_mask("0");
      const auto* each = std::get_if<TensorList>(&mask);
      const TensorList masks = each != nullptr ? *each : TensorList{std::get<Tensor>(mask)};
      REQUIRE(masks.size() == c.at("sizes").size());
      for (const Tensor& m : masks) CHECK(bits.differing(m) == 0);
      ++layers;
      masked_layers += masks.empty() ? 0 : 1;
      layer_masks += masks.size();
      s.squash_mask();
      const Tensor y = model(x);
      CHECK(y == outputs.next(y.shape()));
    }
    CHECK(matrices == 1000);
    CHECK(layers == 235);
    CHECK(masked_layers == 200);
    CHECK(layer_masks == 282);
    CHECK(values.at_end());
    CHECK(outputs.at_end());
    CHECK(bits.at_end());
  }
}
