// Random configurations of WeightNormSparsifier and CubicSL against PyTorch's results (make_sparsifier.py): masks bit
// for bit, over up to five steps of different levels, and levels of schedules.
#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "coppice/engine.h"
#include "coppice/nn/layers/container.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/nn/state_dict.h"
#include "coppice/sparsity/scheduler/cubic.h"
#include "coppice/sparsity/sparsifier/weight_norm.h"
#include "golden/stored_arrays.h"

namespace {

using namespace coppice;
using namespace coppice::sparsity;
using nlohmann::json;

const std::string kGolden = COPPICE_TESTS_DIR "/golden/";

json golden() { return json::parse(std::ifstream(kGolden + "sparsifier.json")); }

/// A Linear as child "0" with this weight, in its type.
nn::ModulePtr model_of(const Tensor& weight) {
  const auto layer = std::make_shared<nn::Linear>(weight.size(1), weight.size(0), false);
  layer->to(weight.dtype());
  const NoGrad guard;
  layer->tensor("weight").copy_(weight);
  return std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{layer});
}

Arguments named(const std::string& tensor_fqn, double level) {
  return {{"tensor_fqn", tensor_fqn}, {"sparsity_level", level}};
}

}  // namespace

TEST_SUITE("golden/sparsifier") {
  TEST_CASE("2,877 masks of weight norms equal PyTorch's") {
    const json cases = golden().at("cases");
    const NamedTensors arrays = read_npz(kGolden + "sparsifier.npz");
    testing::StoredValues values(arrays.at("values"));
    testing::StoredBits bits(arrays.at("masks"));
    std::size_t compared = 0;
    for (const json& c : cases) {
      const std::string text = c.dump();
      CAPTURE(text);
      const Shape shape(c.at("shape").get<std::vector<std::int64_t>>());
      const auto type = dtype_from_name(c.at("dtype").get<std::string>());
      REQUIRE(type.has_value());
      const Tensor weight = values.next(shape).to(*type);
      const Block block{c.at("block").at(0).get<std::int64_t>(), c.at("block").at(1).get<std::int64_t>()};
      WeightNormSparsifier sparsifier(0.5, block, c.at("zeros").get<std::int64_t>(), c.at("norm").get<int>(),
                                      TieRule::pytorch);
      sparsifier.prepare(model_of(weight));
      for (const json& level : c.at("levels")) {
        sparsifier.groups()[0].config.set("sparsity_level", level.get<double>());
        sparsifier.step();
        CHECK(bits.differing(sparsifier.groups()[0].mask()) == 0);
        ++compared;
      }
    }
    CHECK(values.at_end());
    CHECK(bits.at_end());
    CHECK(compared == 2877);
  }

  TEST_CASE("the state dict of a model that PyTorch prepared loads into one that is prepared here") {
    const NamedTensors saved = read_torch(kGolden + "sparsifier.pt");
    const nn::ModulePtr model = std::make_shared<nn::Sequential>(
        std::initializer_list<nn::ModulePtr>{std::make_shared<nn::Linear>(8, 8), std::make_shared<nn::Linear>(8, 4)});
    WeightNormSparsifier sparsifier(0.5);
    sparsifier.prepare(model, {named("0.weight", 0.5)});
    const nn::LoadReport report = nn::load_state_dict(*model, saved, false);
    CHECK(report.missing == std::vector<std::string>{"0.parametrizations.weight.0.mask"});  // as in PyTorch
    CHECK(report.unexpected.empty());
    std::vector<std::string> names;
    for (const auto& [name, tensor] : nn::state_dict(*model)) names.push_back(name);
    CHECK(names == saved.names());
    sparsifier.step();
    CHECK(model->find_module("0")->tensor("weight") == read_npz(kGolden + "sparsifier.npz").at("prepared"));
  }

  TEST_CASE("levels of 200 cubic schedules equal PyTorch's") {
    const json schedules = golden().at("schedules");
    const Tensor levels = read_npz(kGolden + "sparsifier.npz").at("levels");
    REQUIRE(levels.shape() == Shape{200, 12, 2});
    double worst = 0;
    for (std::size_t i = 0; i < schedules.size(); ++i) {
      const json& c = schedules[i];
      const nn::ModulePtr model = std::make_shared<nn::Sequential>(
          std::initializer_list<nn::ModulePtr>{std::make_shared<nn::Linear>(2, 2), std::make_shared<nn::Linear>(2, 2)});
      WeightNormSparsifier sparsifier;
      sparsifier.prepare(model, {named("0.weight", c.at("base").at(0).get<double>()),
                                 named("1.weight", c.at("base").at(1).get<double>())});
      CubicSettings settings;
      settings.init_sl = c.at("init_sl").get<double>();
      settings.init_t = c.at("init_t").get<double>();
      settings.delta_t = c.at("delta_t").get<double>();
      settings.total_t = c.at("total_t").get<double>();
      settings.initially_zero = c.at("initially_zero").get<bool>();
      CubicSL scheduler(sparsifier, settings, c.at("last_epoch").get<std::int64_t>());
      for (std::int64_t step = 0; step < 12; ++step) {
        for (std::int64_t group = 0; group < 2; ++group) {
          const double wanted = levels.at({static_cast<std::int64_t>(i), step, group});
          worst = std::max(worst, std::abs(scheduler.get_last_sl()[static_cast<std::size_t>(group)] - wanted));
        }
        if (step == 11) break;
        sparsifier.step();
        scheduler.step();
      }
    }
    CHECK(worst <= 1e-15);
  }
}
