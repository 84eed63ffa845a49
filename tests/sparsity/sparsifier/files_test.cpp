// What a sparsifier prepared goes into files, state dicts and packed layers, and comes back.
#include <doctest/doctest.h>

#include <filesystem>

#include "coppice/sparsity/pack/pack.h"
#include "coppice/sparsity/sparsifier/weight_norm.h"
#include "sparsity/sparsifier/models.h"

using namespace coppice;
using namespace coppice::sparsity;
using namespace coppice::testing;
using nn::ModulePtr;

namespace {

/// Linear(8, 8) and Linear(8, 4), the first prepared and stepped.
struct Prepared2 {
  ModulePtr model = std::make_shared<nn::Sequential>(
      std::initializer_list<ModulePtr>{std::make_shared<nn::Linear>(8, 8), std::make_shared<nn::Linear>(8, 4)});
  WeightNormSparsifier sparsifier{0.5};
  Prepared2() {
    sparsifier.prepare(model, {at("0.weight")});
    sparsifier.step();
  }
};

}  // namespace

TEST_SUITE("sparsity/sparsifier/files") {
  TEST_CASE("names in state dicts are PyTorch's; masks are not among them") {
    const Prepared2 p;
    std::vector<std::string> names;
    for (const auto& [name, tensor] : nn::state_dict(*p.model)) names.push_back(name);
    CHECK(names == std::vector<std::string>{"0.bias", "0.parametrizations.weight.original", "1.weight", "1.bias"});
  }

  TEST_CASE("a model file keeps the masks, and a sparsifier goes on with the model that it brings back") {
    Prepared2 p;
    const std::filesystem::path file = std::filesystem::temp_directory_path() / "coppice_sparsifier_files.safetensors";
    nn::save_model(*p.model, file, {}, {.masked_values = true});
    const ModulePtr loaded = nn::load_model(file);
    std::filesystem::remove(file);
    WeightNormSparsifier again = cloned_onto(p.sparsifier, loaded);
    CHECK(again.groups()[0].mask().to(Dtype::f32) == p.sparsifier.groups()[0].mask().to(Dtype::f32));
    CHECK(again.groups()[0].original() == p.sparsifier.groups()[0].original());
    again.groups()[0].config.set("sparsity_level", 0.75);
    again.step();
    CHECK(count_nonzero(again.groups()[0].mask()) == 16);
    CHECK(count_nonzero(p.sparsifier.groups()[0].mask()) == 32);
  }

  TEST_CASE("packing burns the masks in") {
    const Prepared2 p;
    PackOptions options;
    options.measure = false;
    const Packed packed = pack(*p.model, options);
    REQUIRE_FALSE(packed.decisions.empty());
    CHECK(packed.decisions[0].path == "0");
    CHECK(packed.decisions[0].nonzeros == 32);
    CHECK(nn::masks_in(*p.model).size() == 1);
  }
}
