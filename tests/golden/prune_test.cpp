// Random configurations of every pruning method against PyTorch's results (make_prune.py): masks bit for bit, the types
// of the masks, pruned weights, and what is refused.
#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "coppice/engine.h"
#include "coppice/nn/layers/linear.h"
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
using Holders = std::vector<std::unique_ptr<Holder>>;

Dtype dtype(const std::string& name) {
  static const std::map<std::string, Dtype> all{{"float32", Dtype::f32}, {"float64", Dtype::f64},
                                                {"float16", Dtype::f16}, {"bfloat16", Dtype::bf16},
                                                {"int64", Dtype::i64},   {"bool", Dtype::boolean}};
  return all.at(name);
}

Shape shape_of(const json& sizes) { return Shape(sizes.get<std::vector<std::int64_t>>()); }

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

/// What a step takes from the inputs besides the parameters.
struct Given {
  std::map<std::string, Tensor> scores;  // by the number of the parameter
  Tensor mask;
};

Given read(const json& step, const json& targets, Inputs& inputs) {
  Given out;
  if (step.contains("scores"))
    for (const auto& [at, type] : step.at("scores").items())
      out.scores[at] = inputs.next(
          shape_of(step.contains("score_shape") ? step.at("score_shape") : targets.at(std::stoul(at)).at("shape")),
          dtype(type));
  if (step.at("method") == "custom")
    out.mask = inputs.next(
        shape_of(step.contains("mask_shape") ? step.at("mask_shape")
                                             : targets.at(step.at("on").at(0).get<std::size_t>()).at("shape")),
        dtype(step.at("mask")));
  return out;
}

void prune_globally(Holders& modules, const json& step, const Given& given) {
  std::vector<prune::Target> targets;
  for (const json& i : step.at("on")) targets.emplace_back(modules.at(i).get(), "weight");
  prune::TargetScores scores;
  for (const auto& [at, t] : given.scores) scores[{modules.at(std::stoul(at)).get(), "weight"}] = t;
  const std::string name = step.at("name");
  const TieRule ties = TieRule::pytorch;
  if (name == "identity")
    prune::global_unstructured(targets, prune::IdentityMethod(), scores);
  else if (name == "l1")
    prune::global_unstructured(targets, prune::L1Unstructured(amount_of(step), ties), scores);
  else if (name == "ln")
    prune::global_unstructured(targets, prune::LnStructured(amount_of(step), 2, 0), scores);
  else
    prune::global_unstructured(targets, prune::RandomUnstructured(amount_of(step), ties), scores);
}

void prune_step(Holders& modules, const json& step, const Given& given) {
  const auto method = step.at("method").get<std::string>();
  if (method == "global") return prune_globally(modules, step, given);
  nn::Module& m = *modules.at(step.at("on").at(0));
  const std::string name = step.contains("name") ? step.at("name").get<std::string>() : "weight";
  const auto dim = [&] { return step.at("dim").get<std::int64_t>(); };
  const Tensor scores = given.scores.empty() ? Tensor() : given.scores.begin()->second;
  const TieRule ties = TieRule::pytorch;
  if (method == "identity")
    prune::identity(m, name);
  else if (method == "remove")
    prune::remove(m, name);
  else if (method == "custom")
    prune::custom_from_mask(m, name, given.mask);
  else if (method == "random_unstructured")
    prune::random_unstructured(m, name, amount_of(step), ties);
  else if (method == "l1_unstructured")
    prune::l1_unstructured(m, name, amount_of(step), scores, ties);
  else if (method == "random_structured")
    prune::random_structured(m, name, amount_of(step), dim(), ties);
  else
    prune::ln_structured(m, name, amount_of(step), order_of(step), dim(), scores, ties);
}

/// Our category for a class of Python's; AssertionError is about shapes, RuntimeError about a norm and its axes.
bool fits(const std::string& python, const Error& e) {
  if (python == "ValueError" || python == "RuntimeError") return dynamic_cast<const ValueError*>(&e) != nullptr;
  if (python == "AssertionError") return dynamic_cast<const ShapeError*>(&e) != nullptr;
  if (python == "IndexError") return dynamic_cast<const IndexError*>(&e) != nullptr;
  if (python == "TypeError") return dynamic_cast<const TypeError*>(&e) != nullptr;
  if (python == "AttributeError" || python == "KeyError") return dynamic_cast<const KeyError*>(&e) != nullptr;
  return false;
}

/// CRC-32 of the numbers as little-endian doubles; one NaN is as good as another.
std::uint32_t crc(const Tensor& t) {
  std::uint32_t sum = ~0u;
  for (double value : t.to_vector<double>()) {
    if (std::isnan(value)) value = std::numeric_limits<double>::quiet_NaN();
    const auto bits = std::bit_cast<std::uint64_t>(value);
    for (int byte = 0; byte < 8; ++byte) {
      sum ^= static_cast<std::uint32_t>(bits >> 8 * byte & 0xff);
      for (int bit = 0; bit < 8; ++bit) sum = sum >> 1 ^ (sum & 1 ? 0xedb88320u : 0u);
    }
  }
  return ~sum;
}

/// The stored masks: bits where all numbers are 0 and 1, else floats.
struct Masks {
  Tensor bits, other;
  std::size_t bit = 0, number = 0;
  bool equal(const Tensor& mask, bool binary) {
    bool same = true;
    for (const float value : mask.to_vector<float>()) {
      const std::size_t at = binary ? bit++ : number++;
      const float wanted =
          binary ? static_cast<float>(bits.data<std::uint8_t>()[at / 8] >> at % 8 & 1) : other.data<float>()[at];
      same = same && std::bit_cast<std::uint32_t>(value) == std::bit_cast<std::uint32_t>(wanted);
    }
    return same;
  }
};

}  // namespace

TEST_SUITE("golden/prune") {
  TEST_CASE("980 random configurations: masks, their types and weights equal PyTorch's; what it refuses is refused") {
    const json golden = json::parse(std::ifstream(kGolden + "prune.json"));
    const NamedTensors arrays = read_npz(kGolden + "prune.npz");
    Inputs inputs{arrays.at("values").to_vector<float>()};
    Masks masks{arrays.at("masks"), arrays.at("other")};
    std::size_t compared = 0, refused = 0;
    for (const json& c : golden.at("cases")) {
      const std::string text = c.dump();
      CAPTURE(text);
      Holders modules;
      for (const json& t : c.at("targets"))
        modules.push_back(std::make_unique<Holder>(inputs.next(shape_of(t.at("shape")), dtype(t.at("dtype")))));
      manual_seed(c.at("seed").get<std::uint64_t>());
      std::size_t done = 0;
      for (const json& step : c.at("steps")) {
        const Given given = read(step, c.at("targets"), inputs);  // stored for the steps after a refused one as well
        const std::size_t i = done++;
        if (i >= c.at("out").size()) continue;
        CAPTURE(i);
        const json& out = c.at("out").at(i);
        if (out.is_string()) {
          ++refused;
          try {
            prune_step(modules, step, given);
            FAIL_CHECK("accepted");
          } catch (const Error& e) {
            const std::string message = e.what();
            CAPTURE(message);
            CHECK(fits(out, e));
          }
          continue;
        }
        REQUIRE_NOTHROW(prune_step(modules, step, given));
        std::vector<std::size_t> touched = step.at("on");
        std::sort(touched.begin(), touched.end());
        touched.erase(std::unique(touched.begin(), touched.end()), touched.end());
        REQUIRE(touched.size() == out.size());
        for (std::size_t t = 0; t < touched.size(); ++t, ++compared) {
          const Tensor mask = modules[touched[t]]->tensor("weight_mask");
          CHECK(mask.dtype() == dtype(out.at(t).at(0)));
          CHECK(masks.equal(mask, !c.contains("binary") || c.at("binary").at(i).at(t)));
          CHECK(crc(modules[touched[t]]->tensor("weight")) == out.at(t).at(2));
        }
      }
    }
    CHECK(compared == 2318);
    CHECK(refused == 103);
    CHECK(inputs.at == inputs.values.size());
    CHECK(masks.number == static_cast<std::size_t>(masks.other.numel()));
  }
}
