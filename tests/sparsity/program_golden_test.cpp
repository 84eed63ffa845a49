/// `coppice prune --ties pytorch --keep-masks` on .pt files gives the masks that PyTorch makes with the same seed.

#include <fstream>

#include "coppice/engine/io/load.h"
#include "coppice/engine/io/torch_file.h"
#include "program.h"

using namespace coppice;
using namespace coppice::test;

TEST_SUITE("sparsity/cli/golden") {
  TEST_CASE("144 files, every method, floating type and 1 to 4 axes, 48 pruned before: masks bit for bit") {
    const std::filesystem::path folder = std::filesystem::path(COPPICE_TESTS_DIR) / "golden";
    const Json golden = Json::parse(slurp(folder / "program_prune.json"));
    const NamedTensors stored = read_torch(folder / "program_prune.pt");
    REQUIRE(golden.at("cases").size() == 144);
    const TempDir dir;
    const std::string in = (dir / "in.pt").string(), out = (dir / "out.pt").string();
    std::size_t number = 0;
    for (const Json& row : golden.at("cases")) {
      NamedTensors tensors;
      for (const std::string name : row.at("tensors")) tensors.add(name, stored.at(cat(number, ".in.", name)));
      write_torch(in, tensors);
      Words words{"prune", in, "-o", out, "--force", "--ties", "pytorch", "--keep-masks", "--include", "*"};
      for (const std::string word : row.at("words")) words.push_back(word);
      const std::string shown = row.at("words").dump();
      CAPTURE(number);
      CAPTURE(shown);
      const Said said = run(words);
      CAPTURE(said.err);
      REQUIRE(said.code == 0);
      const NamedTensors pruned = load_tensors(out);
      CHECK(pruned.size() == 2 * row.at("pruned").size());
      for (const std::string name : row.at("pruned")) {
        CAPTURE(name);
        const Tensor& mask = pruned.at(name + "_mask");
        const Tensor& before = tensors.at(tensors.contains(name) ? name : name + "_orig");
        CHECK(mask.dtype() == before.dtype());
        CHECK(mask.to(Dtype::boolean) == stored.at(cat(number, ".mask.", name)));
        CHECK(mask == mask.to(Dtype::boolean).to(mask.dtype()));  // zeros and ones
        CHECK(pruned.at(name + "_orig") == before);
      }
      ++number;
    }
  }
}
