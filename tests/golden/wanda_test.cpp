// Random configurations of WandaSparsifier and mask_creator against torchao's results (make_wanda.py), bit for bit.
#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "coppice/engine.h"
#include "coppice/nn/layers/container.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/sparsity/sparsifier/nm.h"
#include "coppice/sparsity/sparsifier/wanda.h"
#include "golden/stored_arrays.h"

using namespace coppice;
using namespace coppice::sparsity;
using nlohmann::json;

TEST_SUITE("golden/wanda") {
  TEST_CASE("304 masks of Wanda and 150 of n of m equal torchao's") {
    const std::string folder = COPPICE_TESTS_DIR "/golden/";
    const json golden = json::parse(std::ifstream(folder + "wanda.json"));
    const NamedTensors arrays = read_npz(folder + "wanda.npz");
    testing::StoredValues values(arrays.at("values"));
    testing::StoredBits bits(arrays.at("masks"));
    std::size_t compared = 0;
    const CatchWarnings warnings;  // of block sizes
    for (const json& c : golden.at("cases")) {
      const std::string text = c.dump();
      CAPTURE(text);
      const auto rows = c.at("shape").at(0).get<std::int64_t>(), cols = c.at("shape").at(1).get<std::int64_t>();
      const auto layer = std::make_shared<nn::Linear>(cols, rows, false);
      {
        const NoGrad guard;
        layer->tensor("weight").copy_(values.next({rows, cols}));
      }
      const nn::ModulePtr model = std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{layer});
      std::optional<std::int64_t> block;
      if (!c.at("block").is_null()) block = c.at("block").get<std::int64_t>();
      WandaSparsifier sparsifier(c.at("level").get<double>(), block, TieRule::pytorch);
      sparsifier.prepare(model);
      for (const json& round : c.at("rounds")) {
        for (const json& n : round) (void)(*model)(values.next({n.get<std::int64_t>(), cols}));
        sparsifier.step();
        CHECK(bits.differing(sparsifier.groups()[0].mask()) == 0);
        ++compared;
      }
    }
    CHECK(compared == 304);
    const TieRuleScope scope(TieRule::pytorch);
    for (const json& c : golden.at("patterns")) {
      const std::string text = c.dump();
      CAPTURE(text);
      const Tensor t = values.next(Shape(c.at("shape").get<std::vector<std::int64_t>>()));
      CHECK(bits.differing(mask_n_of_m(t, {c.at("n").get<std::int64_t>(), c.at("m").get<std::int64_t>()})) == 0);
      ++compared;
    }
    CHECK(compared == 454);
    CHECK(values.at_end());
    CHECK(bits.at_end());
  }
}
