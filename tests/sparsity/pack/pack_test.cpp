#include "coppice/sparsity/pack/pack.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "coppice/engine/autograd.h"
#include "coppice/nn.h"
#include "coppice/sparsity/mask_ops.h"
#include "support/approx.h"

using namespace coppice;
using namespace coppice::sparsity;
using coppice::testing::differs;

namespace {

constexpr PackOptions kByBytes{.measure = false};
constexpr Tolerance kClose{1e-5, 1e-5};

std::shared_ptr<nn::Linear> layer(std::int64_t in, std::int64_t out, double zeros) {
  auto m = std::make_shared<nn::Linear>(in, out);
  Tensor w = m->tensor("weight");
  const NoGrad off;
  w.copy_(nn::apply_mask(w, mask_smallest(w, Amount(zeros).of(w.numel()))));
  return m;
}

std::shared_ptr<nn::Sequential> small() {
  manual_seed(4);
  auto conv = std::make_shared<nn::Conv2d>(2, 16, 3);
  Tensor w = conv->tensor("weight");
  {
    const NoGrad off;
    w.copy_(nn::apply_mask(w, mask_smallest(w, 260)));
  }
  return std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{
      conv, std::make_shared<nn::ReLU>(), std::make_shared<nn::Flatten>(), layer(16 * 16, 30, 0.95), layer(30, 10, 0)});
}

Tensor images(std::int64_t n) {
  Generator g(9);
  return randn({n, 2, 6, 6}, Dtype::f32, &g);
}

}  // namespace

TEST_SUITE("sparsity/pack") {
  TEST_CASE("without measuring every layer gets its smallest format, the same at every call") {
    const auto model = small();
    const Packed a = pack(*model, kByBytes), b = pack(*model, kByBytes, images(1));
    CHECK(decisions_to_json(a.decisions) == decisions_to_json(b.decisions));
    REQUIRE(a.decisions.size() == 3);
    CHECK(a.decisions[0].path == "0");
    CHECK(a.decisions[0].type == "Conv2d");
    CHECK(a.decisions[1].path == "3");
    CHECK(a.decisions[1].elements == 7680);
    CHECK(a.decisions[1].nonzeros == 384);
    for (const PackDecision& d : a.decisions) {
      CAPTURE(d.path);
      CHECK(d.candidates.size() == all_packed_formats().size());
      CHECK(d.candidates[0].format.is_dense());
      CHECK(d.candidates[0].bytes == 4 * d.elements);
      std::int64_t least = d.candidates[0].bytes, chosen = 0;
      for (const PackCandidate& c : d.candidates) {
        least = std::min(least, c.bytes);
        if (c.format == d.chosen) chosen = c.bytes;
      }
      CHECK(chosen == least);
      CHECK_FALSE(d.reason.empty());
    }
    CHECK(a.decisions[2].chosen.is_dense());
    CHECK(a.decisions[2].reason == "dense: no packed format is smaller");
  }

  TEST_CASE("the bytes of a candidate are those that its members take in the end") {
    const Packed packed = pack(*small(), kByBytes);
    for (const PackDecision& d : packed.decisions) {
      if (d.chosen.is_dense()) continue;
      const auto* m = dynamic_cast<const nn::PackedLayer*>(packed.model->find_module(d.path));
      REQUIRE(m != nullptr);
      std::int64_t members = 0;
      for (const auto& [name, tensor] : m->own_buffers())
        if (name != "bias") members += static_cast<std::int64_t>(tensor.nbytes());
      for (const PackCandidate& c : d.candidates)
        if (c.format == d.chosen) CHECK(c.bytes == members);
      CHECK(m->weight().nonzeros() == d.nonzeros);
    }
  }

  TEST_CASE("the packed model gives the same results, and the given one is unchanged") {
    const auto model = small();
    const nn::ModulePtr before = model->clone();
    const Tensor x = images(5);
    const NoGrad off;
    for (const bool measure : {false, true}) {
      const Packed packed = pack(*model, {.measure = measure, .runs = 3}, images(1));
      CHECK(differs((*packed.model)(x), (*model)(x), kClose) == "");
      CHECK_FALSE(packed.model->training());
      CHECK(packed.model->find_module("3")->type_name() == "PackedLinear");
      CHECK_FALSE(packed.model->find_module("3")->training());
    }
    CHECK(model->training());
    CHECK(model->describe() == before->describe());
    CHECK((*model)(x) == (*before)(x));
  }

  TEST_CASE("measured candidates have times, the chosen one at most what the options allow") {
    const Packed packed = pack(*small(), {.runs = 3}, images(1));
    for (const PackDecision& d : packed.decisions) {
      const PackCandidate& dense = d.candidates[0];
      for (const PackCandidate& c : d.candidates) {
        CHECK(c.microseconds_1 > 0);
        CHECK(c.microseconds_64 > 0);
        if (c.format == d.chosen && !c.format.is_dense()) {
          CHECK(c.bytes < dense.bytes);
          CHECK(c.microseconds_1 / dense.microseconds_1 + c.microseconds_64 / dense.microseconds_64 <=
                2 * PackOptions{}.slowest);
        }
      }
    }
  }

  TEST_CASE("masks are burned in, in the copy only") {
    const auto model = std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{layer(40, 30, 0)});
    nn::attach_mask(*model->at(0), "weight", mask_smallest(model->at(0)->tensor("weight"), 1100));
    const Packed packed = pack(*model, kByBytes);
    CHECK(packed.decisions[0].nonzeros == 100);
    CHECK(nn::masked_slots(*packed.model).empty());
    CHECK(nn::is_masked(*model->at(0), "weight"));
    const NoGrad off;
    CHECK(differs((*packed.model)(ones({2, 40})), (*model)(ones({2, 40})), kClose) == "");
  }

  TEST_CASE("what has no packed form stays as it was, with its masks, and is listed with the reason") {
    const auto grouped = std::make_shared<nn::Conv2d>(
        nn::Arguments{{"in_channels", 4}, {"out_channels", 4}, {"kernel_size", 3}, {"groups", 2}});
    const auto lstm = std::make_shared<nn::LSTM>(nn::Arguments{{"input_size", 8}, {"hidden_size", 6}});
    const auto prepared = layer(30, 20, 0);
    const auto doubles = std::make_shared<nn::Linear>(6, 4);
    doubles->slots().replace_parameter("weight", doubles->tensor("weight").detach().to(Dtype::f64));
    nn::attach_mask(*grouped, "weight", mask_smallest(grouped->tensor("weight"), 60));
    nn::attach_mask(*lstm, "weight_hh_l0", mask_smallest(lstm->tensor("weight_hh_l0"), 100));
    nn::parametrize::register_parametrization(
        *prepared, "weight", std::make_shared<nn::FakeSparsity>(mask_smallest(prepared->tensor("weight"), 570)));
    const nn::Sequential model{{"grouped", grouped},
                               {"lstm", lstm},
                               {"linear", prepared},
                               {"double", doubles},
                               {"norm", std::make_shared<nn::BatchNorm2d>(4)}};
    const Packed packed = pack(model, kByBytes);
    REQUIRE(packed.not_packed.size() == 3);
    CHECK(packed.not_packed[0].path == "grouped");
    CHECK(packed.not_packed[0].type == "Conv2d");
    CHECK(packed.not_packed[0].reason == "convolutions with groups have no packed form; it has 2");
    CHECK(packed.not_packed[1].reason == "layers of type LSTM have no packed form");
    CHECK(packed.not_packed[2].path == "double");
    CHECK(packed.not_packed[2].reason == "its weight is float64; packed layers are float32");
    const auto masks = nn::masked_slots(*packed.model);
    REQUIRE(masks.size() == 2);
    CHECK(masks[0].path == "grouped.weight");
    CHECK(masks[1].path == "lstm.weight_hh_l0");
    CHECK(dynamic_cast<const nn::PackedLinear*>(packed.model->find_module("linear")) != nullptr);
    CHECK(packed.decisions.size() == 1);
    CHECK(nn::parametrize::is_parametrized(*prepared, "weight"));
  }

  TEST_CASE("where masks compete, a layer stays masked if a file takes less for that") {
    const auto model = std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{layer(40, 30, 0)});
    nn::attach_mask(*model->at(0), "weight", mask_smallest(model->at(0)->tensor("weight"), 1100));
    const PackOptions compete{.measure = false, .masks_compete = true};
    const Packed packed = pack(*model, compete);
    CHECK(packed.decisions[0].chosen.is_dense());
    CHECK(packed.decisions[0].reason == "stays masked: 550 bytes in a file, less than in any packed format");
    CHECK(nn::masked_slots(*packed.model).size() == 1);
    // Without its mask it is packed as ever, and so is one of which so little is left that positions take less than
    // bits.
    nn::burn_in_mask(*model->at(0), "weight");
    CHECK_FALSE(pack(*model, compete).decisions[0].chosen.is_dense());
    const auto wide = std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{layer(400, 30, 0)});
    nn::attach_mask(*wide->at(0), "weight", mask_smallest(wide->at(0)->tensor("weight"), 11900));
    CHECK(pack(*wide, compete).decisions[0].chosen == PackedFormat("csr"));
  }

  TEST_CASE("a shared module is packed once and replaced wherever it stands; the root itself can be packed") {
    const auto shared = layer(20, 20, 0.9);
    const nn::Sequential model{shared, std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{shared}),
                               shared};
    const Packed packed = pack(model, kByBytes);
    CHECK(packed.decisions.size() == 1);
    const nn::Module* first = packed.model->find_module("0");
    CHECK(first->type_name() == "PackedLinear");
    CHECK(packed.model->find_module("1.0") == first);
    CHECK(packed.model->find_module("2") == first);
    const NoGrad off;
    CHECK(differs((*packed.model)(ones({1, 20})), model(ones({1, 20})), kClose) == "");

    const Packed root = pack(*shared, kByBytes);
    CHECK(root.model->type_name() == "PackedLinear");
    CHECK(root.decisions[0].path.empty());
  }

  TEST_CASE("what cannot be packed is left alone: groups, other types, layers without Linear or Conv2d") {
    const auto grouped = std::make_shared<nn::Conv2d>(nn::ConvSettings{4, 4, {1}, {.groups = 2}, false});
    const auto wide = layer(8, 8, 0.9);
    wide->to(Dtype::f64);
    const nn::Sequential model{grouped, std::make_shared<nn::BatchNorm2d>(4), wide};
    const Packed packed = pack(model, kByBytes);
    CHECK(packed.decisions.empty());
    CHECK(packed.model->describe() == model.describe());
    CHECK(pack(nn::ReLU(), kByBytes).decisions.empty());
    CHECK(pack(*pack(*layer(20, 20, 0.9), kByBytes).model, kByBytes).decisions.empty());  // packed already
  }

  TEST_CASE("layers of zeros and empty ones can be packed, subnormals become zero") {
    const nn::Sequential model{layer(16, 16, 1.0), std::make_shared<nn::Linear>(16, 0)};
    const Packed packed = pack(model, kByBytes);
    CHECK(packed.decisions[0].nonzeros == 0);
    CHECK((*packed.model)(ones({2, 16})).shape() == Shape{2, 0});
    CHECK_NOTHROW((void)pack(model, {.runs = 1}));
    auto tiny = layer(8, 8, 0.9);
    {
      const NoGrad off;
      tiny->tensor("weight").fill_(1e-40);
    }
    CHECK((*pack(*tiny, kByBytes).model)(full({1, 8}, 1e30)) == tiny->tensor("bias").detach().reshape({1, 8}));
  }

  TEST_CASE("layers with modules of their own and with a bias of another type stay dense") {
    auto outer = layer(16, 16, 0.95);
    outer->add_module("inner", layer(16, 16, 0.95));
    const auto half = std::make_shared<nn::Linear>(16, 16);
    half->slots().erase("bias");
    half->register_parameter("bias", zeros({16}, Dtype::f16));
    const nn::Sequential model{outer, layer(16, 16, 0.95), half};
    const Packed packed = pack(model, kByBytes);
    REQUIRE(packed.decisions.size() == 2);
    CHECK(packed.decisions[0].path == "0.inner");
    CHECK(packed.decisions[1].path == "1");
    CHECK(dynamic_cast<const nn::PackedLayer*>(packed.model->find_module("0.inner")) != nullptr);
    CHECK(dynamic_cast<const nn::Linear*>(packed.model->find_module("0")) != nullptr);
  }

  TEST_CASE("a layer that stands in several places is packed in all of them") {
    const auto shared = layer(16, 16, 0.95);
    const nn::Sequential model{shared, std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{shared}),
                               shared};
    const Packed packed = pack(model, kByBytes);
    REQUIRE(packed.decisions.size() == 1);
    const auto* first = packed.model->find_module("0");
    CHECK(dynamic_cast<const nn::PackedLayer*>(first) != nullptr);
    CHECK(packed.model->find_module("1.0") == first);
    CHECK(packed.model->find_module("2") == first);
  }

  TEST_CASE("windows of any distance can be timed without an example") {
    const nn::ConvSettings settings{2, 8, {3}, {.dilation = {9, 5}}, false};
    CHECK(pack(nn::Sequential{std::make_shared<nn::Conv2d>(settings)}, {.runs = 1}).decisions.size() == 1);
  }

  TEST_CASE("an example that the model does not take is refused") {
    CHECK_THROWS_AS((void)pack(*small(), kByBytes, ones({1, 3, 6, 6})), ShapeError);
  }

  TEST_CASE("the decisions as JSON hold every number") {
    const Packed packed = pack(*small(), kByBytes);
    const auto list = nlohmann::json::parse(decisions_to_json(packed.decisions));
    REQUIRE(list.size() == 3);
    CHECK(list[1]["module"] == "3");
    CHECK(list[1]["type"] == "Linear");
    CHECK(list[1]["elements"] == 7680);
    CHECK(list[1]["nonzeros"] == 384);
    CHECK(list[1]["chosen"] == to_string(packed.decisions[1].chosen));
    CHECK(list[1]["reason"] == packed.decisions[1].reason);
    CHECK(list[1]["candidates"].size() == 6);
    CHECK(list[1]["candidates"][0]["format"] == "dense");
    CHECK(list[1]["candidates"][0]["bytes"] == 30720);
    CHECK(list[1]["candidates"][0]["us_batch_1"] == 0);
    CHECK(decisions_to_json({}) == "[]");
  }
}
