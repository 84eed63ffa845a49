/// What model files hold of masked tensors: the kept values and one bit per entry.

#include <cmath>
#include <limits>

#include "coppice/engine/create.h"
#include "coppice/engine/io/load.h"
#include "coppice/engine/io/safetensors.h"
#include "coppice/engine/random.h"
#include "coppice/nn/init.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/nn/masks/masked.h"
#include "coppice/nn/state_dict.h"
#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::test;
using nn::load_model;
using nn::ModulePtr;
using nn::save_model;

namespace {

const Tensor kMask = Tensor::of({{1, 0, 1}, {0, 0, 1}});
const Tensor kWeight = Tensor::of({{1, -2, 3}, {-4, 5, -6}});

nn::Linear masked_layer(const Tensor& weight, const Tensor& mask) {
  const nn::SkipInit no_random_numbers;
  nn::Linear m(mask.size(1), mask.size(0), false);
  m.to(weight.dtype());
  m.tensor("weight").detach().copy_(weight);
  nn::attach_mask(m, "weight", mask);
  return m;
}

}  // namespace

TEST_SUITE("nn/io/masked_values") {
  TEST_CASE("masks and pruned weights of a file are counted against the limit of extra memory") {
    const TempDir dir;
    const auto linear = std::make_shared<nn::Linear>(100, 50);
    Tensor mask = zeros({50, 100});
    mask.mutable_data<float>()[7] = 1;
    nn::set_mask(*linear, "weight", mask);
    nn::save_model(*linear, dir / "m.safetensors");
    const std::uint64_t file = read_safetensors(dir / "m.safetensors").nbytes();
    const std::uint64_t needed = 2 * 4 * 5000;  // float32: a mask of bits, and a weight of one kept value
    CHECK(file < 1000);
    CHECK(nn::load_model(dir / "m.safetensors", {.limits = {.extra_bytes = needed - file}}) != nullptr);
    for (const std::uint64_t extra : {std::uint64_t{0}, needed / 2, needed - file - 1}) {
      const std::string said =
          outcome([&] { return nn::load_model(dir / "m.safetensors", {.limits = {.extra_bytes = extra}}); });
      CAPTURE(said);
      CHECK(said.starts_with("LimitError: [load_model] '"));
      CHECK(said.find("m.safetensors': memory for ") != said.npos);
      CHECK(said.find("Limits::extra_bytes") != said.npos);
    }
  }

  TEST_CASE("a 1000 x 1000 layer pruned to 90 % is an eighth of the dense file: 0.53 MB against 4.00 MB") {
    const TempDir dir;
    manual_seed(0);
    nn::Linear m(1000, 1000);
    save_model(m, dir / "dense.safetensors");
    Tensor mask = zeros({1000, 1000});
    for (std::int64_t i = 0; i < 100'000; ++i) mask.set_({i % 1000, i / 1000 * 7 % 1000}, 1);
    nn::attach_mask(m, "weight", mask);
    save_model(m, dir / "pruned.safetensors");
    const auto dense = std::filesystem::file_size(dir / "dense.safetensors");
    const auto pruned = std::filesystem::file_size(dir / "pruned.safetensors");
    // Values 4 bytes each, the bias 4,000 bytes, the mask 125,000 bytes; less than 2,000 for the header.
    CHECK(dense >= 4'004'000);
    CHECK(dense < 4'006'000);
    CHECK(pruned >= 400'000 + 4'000 + 125'000);
    CHECK(pruned < 531'000);
  }

  TEST_CASE("the file has the kept values in row-major order; what the mask removed is 0 after loading") {
    const TempDir dir;
    for (const Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::f16, Dtype::bf16}) {
      const nn::Linear m = masked_layer(kWeight.to(dtype), kMask);
      save_model(m, dir / "m.safetensors");
      CHECK(read_safetensors(dir / "m.safetensors").at("weight_orig") == Tensor::of({1, 3, -6}).to(dtype));
      for (const bool map : {true, false}) {
        const ModulePtr back = load_model(dir / "m.safetensors", {.map = map});
        CHECK(back->tensor("weight_orig").detach() == Tensor::of({{1, 0, 3}, {0, 0, -6}}).to(dtype));
        CHECK(back->tensor("weight_mask") == kMask.to(dtype));  // its type too
        CHECK(back->tensor("weight").detach() == m.tensor("weight").detach());
        CHECK(back->tensor("weight_orig").requires_grad());
      }
    }
  }

  TEST_CASE("a model that was loaded gives its file again") {
    const TempDir dir;
    save_model(masked_layer(kWeight, kMask), dir / "a.safetensors");
    save_model(*load_model(dir / "a.safetensors"), dir / "b.safetensors");
    CHECK(slurp(dir / "a.safetensors") == slurp(dir / "b.safetensors"));
  }

  TEST_CASE("with masked_values the removed values come back, and a file of them is read as ever") {
    const TempDir dir;
    save_model(masked_layer(kWeight, kMask), dir / "m.safetensors", {}, {.masked_values = true});
    const ModulePtr back = load_model(dir / "m.safetensors");
    CHECK(back->tensor("weight_orig").detach() == kWeight);
    back->tensor("weight_mask").fill_(1);
    CHECK(back->tensor("weight").detach() == kWeight);
  }

  TEST_CASE("masks that remove all, nothing, or entries of a bias") {
    const TempDir dir;
    for (const double keep : {0.0, 1.0}) {
      const Tensor mask = full({2, 3}, keep);
      save_model(masked_layer(kWeight, mask), dir / "m.safetensors");
      CHECK(read_safetensors(dir / "m.safetensors").at("weight_orig").numel() == (keep == 0 ? 0 : 6));
      CHECK(load_model(dir / "m.safetensors")->tensor("weight").detach() == nn::apply_mask(kWeight, mask));
    }
    nn::Linear m(2, 3);
    m.tensor("bias").detach().copy_(Tensor::of({1, 2, 3}));
    nn::attach_mask(m, "bias", Tensor::of({0, 1, 0}));
    save_model(m, dir / "m.safetensors");
    CHECK(load_model(dir / "m.safetensors")->tensor("bias_orig").detach() == Tensor::of({0, 2, 0}));
  }

  TEST_CASE("an original is stored whole where zero would not do: infinite values, NaN, masks of other numbers") {
    const TempDir dir;
    const auto stored = [&](const Tensor& weight, const Tensor& mask) {
      save_model(masked_layer(weight, mask), dir / "m.safetensors");
      return read_safetensors(dir / "m.safetensors").at("weight_orig").shape();
    };
    for (const double bad : {std::numeric_limits<double>::infinity(), std::nan("")}) {
      Tensor weight = kWeight.clone();
      weight.set_({0, 1}, bad);  // removed: its product with 0 is NaN, as in PyTorch
      CHECK(stored(weight, kMask) == Shape{2, 3});
      CHECK(std::isnan(load_model(dir / "m.safetensors")->tensor("weight").detach().at({0, 1})));
      weight.set_({0, 1}, 1);
      weight.set_({0, 0}, bad);  // kept
      CHECK(stored(weight, kMask) == Shape{3});
    }
    CHECK(stored(kWeight, Tensor::of({{0.5, 0, 1}, {1, 1, 1}})) == Shape{2, 3});
  }

  TEST_CASE("a file with another number of values than its mask has ones is refused, both shapes named") {
    const TempDir dir;
    save_model(masked_layer(kWeight, kMask), dir / "m.safetensors");
    const NamedTensors good = read_safetensors(dir / "m.safetensors");
    for (const Tensor& wrong : {Tensor::of({1, 2}), Tensor::of({1, 2, 3, 4}), Tensor::of({{1, 2, 3}}), Tensor::of(1)}) {
      NamedTensors bad = good;
      bad.set("weight_orig", wrong);
      const std::string said = outcome([&] { return nn::model_from_tensors(bad, "m.safetensors"); });
      CAPTURE(said);
      CHECK(said.starts_with("FormatError"));
      CHECK(said.find(cat("shape of 'weight_orig': given ", wrong.shape(), ", own (2, 3)")) != said.npos);
    }
  }
}
