/// A packed model that was written before formats became rows of a table loads, runs and is written again the same.
#include <doctest/doctest.h>

#include "coppice/nn.h"
#include "engine/io/io_support.h"
#include "support/approx.h"

using namespace coppice;
using namespace coppice::nn;
using namespace coppice::test;
using coppice::testing::differs;

namespace {

const std::filesystem::path kStored = kData / "packed";

}  // namespace

TEST_SUITE("nn/packed/stored_formats") {
  TEST_CASE("a stored model in every format of its time gives the stored results and the stored weights") {
    const NoGrad off;
    const ModulePtr model = load_model(kStored / "model.safetensors");
    CHECK(differs((*model)(read_npy(kStored / "x.npy")), read_npy(kStored / "y.npy"), Tolerance{1e-5, 1e-5}) == "");
    const NamedTensors dense = state_dict(*unpack(model)),
                       expected = state_dict(*load_model(kStored / "dense.safetensors"));
    CHECK(dense.names() == expected.names());
    for (const auto& [name, tensor] : expected) CHECK(dense.at(name) == tensor);
  }

  TEST_CASE("it is written again with the same description and the same members") {
    const TempDir dir;
    save_model(*load_model(kStored / "model.safetensors"), dir / "again.safetensors");
    const NamedTensors again = read_safetensors(dir / "again.safetensors"),
                       stored = read_safetensors(kStored / "model.safetensors");
    const auto tree_of = [](const NamedTensors& file) {  // what follows the version of who wrote it
      const std::string& text = file.metadata().at(kModelKey);
      return text.substr(text.find("\"model\""));
    };
    CHECK(tree_of(again) == tree_of(stored));
    CHECK(again.names() == stored.names());
    for (const auto& [name, tensor] : stored) CHECK(again.at(name) == tensor);
  }

  TEST_CASE("and packing its weights anew gives these bytes as well") {
    const ModulePtr model = load_model(kStored / "model.safetensors");
    for (const auto& [path, module] : model->named_modules()) {
      const auto* layer = dynamic_cast<const PackedLayer*>(module);
      if (layer == nullptr) continue;
      const PackedMatrix w = layer->weight(), again = PackedMatrix::pack(w.unpack(), w.format());
      const std::string shown = path;  // Clang 14 cannot capture a structured binding
      CAPTURE(shown);
      REQUIRE(again.members().size() == w.members().size());
      for (std::size_t i = 0; i < w.members().size(); ++i) {
        const auto& [name, tensor] = w.members()[i];
        CHECK(again.members()[i].first == name);
        CHECK(again.members()[i].second == tensor);
      }
    }
  }
}
