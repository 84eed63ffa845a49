// What a sparsifier prepared goes into files, state dicts and packed layers, and comes back.
#include <doctest/doctest.h>

#include <filesystem>

#include "coppice/sparsity/pack/pack.h"
#include "coppice/sparsity/prune/prune.h"
#include "coppice/sparsity/sparsifier/weight_norm.h"
#include "coppice/sparsity/training/finetune.h"
#include "sparsity/sparsifier/models.h"
#include "support/approx.h"

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

  TEST_CASE("packing burns the masks in: what is packed computes the same without them, and the model keeps them") {
    const Prepared2 p;
    PackOptions options;
    options.measure = false;
    const Packed packed = pack(*p.model, options);
    REQUIRE_FALSE(packed.decisions.empty());
    CHECK(packed.decisions[0].path == "0");
    CHECK(packed.decisions[0].nonzeros == 32);
    CHECK(nn::masks_in(*packed.model).empty());
    for (const auto& [name, tensor] : nn::state_dict(*packed.model)) {
      CAPTURE(name);
      CHECK(name.find("parametrizations") == std::string::npos);
    }
    const Tensor x = Tensor::of({{1, -2, 3, -4, 5, -6, 7, -8}});
    const NoGrad guard;
    CHECK(differs((*packed.model)(x), (*p.model)(x)) == "");
    CHECK(nn::masks_in(*p.model).size() == 1);
  }

  TEST_CASE("fine-tuning keeps the masks, and the sparsifier goes on behind it") {
    Prepared2 p;
    const Tensor mask = p.sparsifier.groups()[0].mask().clone(), before = p.sparsifier.groups()[0].original().clone();
    Generator generator(2);
    FinetuneOptions options;
    options.epochs = 2;
    (void)finetune(*p.model, make_dataset(randn({20, 8}, Dtype::f32, &generator), zeros({20}, Dtype::i64)), options,
                   [](const std::string& name, const Tensor&) { return name == "0.weight"; });
    CHECK(p.sparsifier.groups()[0].mask().to(Dtype::boolean) == mask);
    CHECK_FALSE(p.sparsifier.groups()[0].original() == before);
    CHECK(count_nonzero(p.sparsifier.groups()[0].weight()) == 32);
    p.sparsifier.groups()[0].config.set("sparsity_level", 0.75);
    p.sparsifier.step();
    CHECK(count_nonzero(p.model->find_module("0")->tensor("weight")) == 16);
  }

  TEST_CASE("both families on one model: files keep each as it is") {
    Prepared2 p;
    prune::l1_unstructured(*p.model->find_module("1"), "weight", 10);
    const std::filesystem::path file =
        std::filesystem::temp_directory_path() / "coppice_sparsifier_families.safetensors";
    nn::save_model(*p.model, file);
    const ModulePtr loaded = nn::load_model(file);
    std::filesystem::remove(file);
    const std::vector<nn::MaskedSlot> masks = nn::masks_in(*loaded);
    REQUIRE(masks.size() == 2);
    CHECK(masks[0].path == "0.weight");
    CHECK(masks[0].fake);
    CHECK(masks[1].path == "1.weight");
    CHECK_FALSE(masks[1].fake);
    for (const char* path : {"0", "1"})
      CHECK(loaded->find_module(path)->tensor("weight") == p.model->find_module(path)->tensor("weight"));
    // One pass of either family sees both, and of what is masked already each goes its own way.
    nn::take_fake_masks(*loaded);
    CHECK(nn::masked_slots(*loaded).size() == 2);
    CHECK_THROWS_AS(p.sparsifier.prepare(p.model, {at("1.weight")}), StateError);
  }
}
