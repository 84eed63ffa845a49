// Masks of random configurations of every pruning method against PyTorch's, bit for bit (make_prune.py).
#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "coppice/engine.h"
#include "coppice/nn/linear.h"
#include "coppice/sparsity/prune/prune.h"

namespace {

using namespace coppice;
using namespace coppice::sparsity;
using nlohmann::json;

const std::string kGolden = COPPICE_TESTS_DIR "/golden/";

/// A module with nothing but a weight.
class Holder final : public nn::Implements<Holder> {
 public:
  static constexpr std::string_view kType = "Holder";
  explicit Holder(Tensor weight) { register_parameter("weight", std::move(weight)); }

 private:
  Tensor forward(const Tensor& x) const override { return x; }
};

Amount amount_of(const json& step) {
  const json& a = step.at("amount");
  return a.is_number_integer() ? Amount(a.get<std::int64_t>()) : Amount(a.get<double>());
}

NormOrder order_of(const json& step) {
  const json& n = step.at("n");
  if (n == "fro") return NormOrder::Word::fro;
  if (n == "nuc") return NormOrder::Word::nuc;
  if (n == "inf") return HUGE_VAL;
  if (n == "-inf") return -HUGE_VAL;
  return n.get<double>();
}

/// The stored numbers of all cases, taken one after another.
struct Inputs {
  std::vector<float> values;
  std::size_t at = 0;
  Tensor next(const Shape& shape, Dtype dtype) {
    const auto n = static_cast<std::size_t>(shape.numel());
    REQUIRE(at + n <= values.size());
    const Tensor t = Tensor::from(std::span<const float>(values).subspan(at, n), shape);
    at += n;
    return t.to(dtype);
  }
};

void prune_step(nn::Module& m, const json& step, const Tensor& scores, const Tensor& custom) {
  const auto method = step.at("method").get<std::string>();
  const auto dim = [&] { return step.at("dim").get<std::int64_t>(); };
  const TieRule ties = TieRule::pytorch;
  if (method == "identity") prune::identity(m, "weight");
  else if (method == "custom") prune::custom_from_mask(m, "weight", custom);
  else if (method == "random_unstructured") prune::random_unstructured(m, "weight", amount_of(step), ties);
  else if (method == "l1_unstructured") prune::l1_unstructured(m, "weight", amount_of(step), scores, ties);
  else if (method == "random_structured") prune::random_structured(m, "weight", amount_of(step), dim(), ties);
  else prune::ln_structured(m, "weight", amount_of(step), order_of(step), dim(), scores, ties);
}

}  // namespace

TEST_SUITE("golden/prune") {
  TEST_CASE("640 random configurations: every mask equals PyTorch's, and what it refuses is refused") {
    const json golden = json::parse(std::ifstream(kGolden + "prune.json"));
    const NamedTensors arrays = read_npz(kGolden + "prune.npz");
    Inputs inputs{arrays.at("values").to_vector<float>()};
    const auto bits = arrays.at("masks").data<std::uint8_t>();
    std::size_t bit = 0;
    std::size_t masks = 0;
    for (const json& c : golden.at("cases")) {
      const std::string text = c.dump();
      CAPTURE(text);
      const Shape shape(c.at("shape").get<std::vector<std::int64_t>>());
      const std::string type = c.at("dtype");
      const Dtype dtype = type == "float32" ? Dtype::f32 : type == "float64" ? Dtype::f64 : Dtype::bf16;
      Holder m(inputs.next(shape, dtype));
      manual_seed(c.at("seed").get<std::uint64_t>());
      std::size_t done = 0;
      bool running = true;
      for (const json& step : c.at("steps")) {
        Tensor scores, custom;
        if (step.contains("scores")) scores = inputs.next(shape, dtype);
        if (step.at("method") == "custom") custom = inputs.next(shape, Dtype::f32);
        if (!running) continue;  // the numbers of the steps after a refused one are stored as well
        const bool refused = c.at("errors").at(done++) != "";
        CAPTURE(done);
        if (refused) {
          CHECK_THROWS_AS(prune_step(m, step, scores, custom), Error);
          running = false;
          continue;
        }
        REQUIRE_NOTHROW(prune_step(m, step, scores, custom));
        bool same = true;
        for (const float value : m.tensor("weight_mask").to_vector<float>()) {
          same = same && value == static_cast<float>(bits[bit / 8] >> bit % 8 & 1);
          ++bit;
        }
        CHECK(same);
        ++masks;
      }
    }
    CHECK(masks == 1006);
    CHECK(inputs.at == inputs.values.size());
  }
}
