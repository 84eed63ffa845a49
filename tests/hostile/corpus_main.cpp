/// hostile_corpus --write DIR: the hostile files, for other readers and as the first inputs of the fuzz targets.
/// hostile_corpus --seeds DIR: the same and the valid files of the tests, in a folder for each fuzz target.

#include <cstdio>
#include <cstring>
#include <map>

#include "coppice/nn/io/model_file.h"
#include "hostile/corpus.h"
#include "nn/every_layer.h"

using namespace coppice::test;
namespace fs = std::filesystem;

namespace {

/// The targets that begin with files of this kind; large ones are no inputs for a fuzzer.
std::vector<const char*> targets_of(const HostileFile& file) {
  static const std::map<std::string, std::vector<const char*>> kTargets{
      {".safetensors", {"safetensors"}}, {".pt", {"torch_zip"}},       {".npz", {"npz"}},
      {".npy", {"npy"}},                 {".model", {"model_file"}},   {".json", {"arch_json"}}};
  if (file.input.bytes.size() > 20'000 || file.padded_bytes != 0) return {};
  return kTargets.at(file.extension);
}

void valid_seeds(const fs::path& dir) {
  const fs::path data = fs::path(COPPICE_TESTS_DIR) / "data";
  for (const auto& entry : fs::directory_iterator(data / "torch")) {
    const std::string name = entry.path().filename().string(), extension = entry.path().extension().string();
    if (extension == ".py") continue;
    const char* target = extension == ".safetensors" ? "safetensors"
                         : extension == ".npz"       ? "npz"
                         : extension == ".npy"       ? "npy"
                         : name.starts_with("legacy") ? "torch_legacy"
                                                      : "torch_zip";
    fs::copy_file(entry.path(), dir / target / name, fs::copy_options::overwrite_existing);
  }
  for (const char* name : {"lstm_digits.arch.json", "mlp_digits.arch.json"})
    fs::copy_file(data / name, dir / "arch_json" / name, fs::copy_options::overwrite_existing);
  fs::copy_file(data / "../../sparsity/data/lenet_digits.arch.json", dir / "arch_json/lenet.json",
                fs::copy_options::overwrite_existing);
  spill(dir / "model_file/good-packed.safetensors", good_packed_model());
  for (const Layer& layer : every_layer())
    coppice::nn::save_model(*layer.module, dir / "model_file" / (layer.name + ".safetensors"));
  const auto masked = std::make_shared<coppice::nn::Linear>(3, 2);
  const coppice::Tensor mask = coppice::Tensor::of({{1, 0, 1}, {0, 1, 0}});
  coppice::nn::set_mask(*masked, "weight", mask);
  coppice::nn::save_model(*masked, dir / "model_file/masked.safetensors", {}, {.masked_values = true});
  coppice::nn::save_model(*masked, dir / "model_file/kept.safetensors", {}, {.masked_values = false});
}

}  // namespace

int main(int argc, char** argv) {
  const bool seeds = argc == 3 && std::strcmp(argv[1], "--seeds") == 0;
  if (argc != 3 || (!seeds && std::strcmp(argv[1], "--write") != 0)) {
    std::fprintf(stderr, "usage: hostile_corpus --write DIR | --seeds DIR\n");
    return 2;
  }
  const fs::path dir = argv[2];
  fs::create_directories(dir);
  if (seeds)
    for (const char* target : {"safetensors", "torch_zip", "torch_legacy", "npy", "npz", "model_file", "arch_json"})
      fs::create_directories(dir / target);
  std::size_t place = 0, written = 0;
  for (const HostileFile& file : hostile_corpus()) {
    const std::string name = file.file_name(place++);
    if (seeds) {
      for (const char* target : targets_of(file)) write_hostile(file, dir / target / name), ++written;
    } else {
      write_hostile(file, dir / name), ++written;
      std::printf("%s\t%s\t%s\n", name.c_str(), file.input.category.c_str(), file.input.what.c_str());
    }
  }
  if (seeds) valid_seeds(dir);
  std::fprintf(stderr, "%zu files\n", written);
  return 0;
}
