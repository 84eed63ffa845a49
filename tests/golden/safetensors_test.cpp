// What PyTorch and safetensors make of numbers of eight bits and of tied tensors (make_safetensors.py).
#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine/io/load.h"
#include "coppice/engine/io/safetensors.h"

using namespace coppice;

namespace {

const std::string kFolder = COPPICE_TESTS_DIR "/golden/";

}  // namespace

TEST_SUITE("golden/safetensors") {
  TEST_CASE("every byte of the five types is the number that PyTorch makes of it") {
    const NamedTensors read = read_safetensors(kFolder + "float8.safetensors", {.widen_f8 = true});
    CHECK(read.size() == 11);
    CHECK(read.skipped().empty());
    for (const char* type : {"F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F8_E8M0"}) {
      CAPTURE(type);
      const std::string name = type;
      const Tensor& ours = read.at(name);
      CHECK(ours.shape() == Shape{16, 16});
      const auto values = ours.to_vector<float>(), expected = read.at(name + "_as_f32").to_vector<float>();
      for (std::size_t byte = 0; byte < values.size(); ++byte) {
        CAPTURE(byte);
        if (std::isnan(expected[byte]))
          CHECK(std::isnan(values[byte]));
        else
          CHECK((values[byte] == expected[byte] && std::signbit(values[byte]) == std::signbit(expected[byte])));
      }
    }
  }

  TEST_CASE("without the option the five are left out by name") {
    const NamedTensors read = read_safetensors(kFolder + "float8.safetensors");
    CHECK(read.size() == 6);
    CHECK(read.skipped().size() == 5);
  }

  TEST_CASE("a model that safetensors.torch.save_model wrote has the names and ties of its state dict") {
    const NamedTensors read = load_tensors(kFolder + "tied.safetensors"), state = load_tensors(kFolder + "tied.pt");
    CHECK(read.size() == state.size());
    for (const auto& [name, tensor] : state) CHECK(read.at(name) == tensor);
    CHECK(read.at("head.weight").shares_storage(read.at("embed.weight")));
    CHECK(state.at("head.weight").shares_storage(state.at("embed.weight")));
    CHECK(read.metadata().empty());
  }
}
