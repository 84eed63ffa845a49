/// hostile_corpus --write DIR: the hostile files, for other readers and as the first inputs of the fuzz targets.
/// hostile_corpus --seeds DIR: the same and the valid files of the tests, in a folder for each fuzz target.

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>

#include "coppice/engine/checked.h"
#include "coppice/nn/io/model_file.h"
#include "fuzz/shard_frame.h"
#include "hostile/corpus.h"
#include "hostile/states.h"
#include "nn/carrier.h"
#include "nn/every_layer.h"

using namespace coppice::test;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t kLargestSeed = 20'000;

/// The targets that begin with files of this kind; large ones are no inputs for a fuzzer.
std::vector<const char*> targets_of(const HostileFile& file) {
  static const std::map<std::string, std::vector<const char*>> kTargets{{".safetensors", {"safetensors"}},
                                                                        {".pt", {"torch_zip"}},
                                                                        {".npz", {"npz"}},
                                                                        {".npy", {"npy"}},
                                                                        {".model", {"model_file"}},
                                                                        {".json", {"arch_json"}},
                                                                        {".index", {"sharded"}},
                                                                        {".members", {"sparse_members", "safetensors"}},
                                                                        {".checkpoint", {"checkpoint"}}};
  if (file.input.bytes.size() > kLargestSeed || file.padded_bytes != 0 || file.kind != Kind::file) return {};
  return kTargets.at(file.extension);
}

/// The file as an input of its target: an index takes the shards beside it along.
std::string seed_of(const HostileFile& file) {
  if (file.extension != ".index") return file.input.bytes;
  using coppice::fuzz::ShardKind;
  coppice::fuzz::ShardFrame frame;
  frame.index = file.input.bytes;
  for (std::size_t i = 0; i < frame.shards.size(); ++i) {
    const auto c = std::find_if(file.beside.begin(), file.beside.end(),
                                [&](const Companion& each) { return each.name == coppice::fuzz::kShardNames[i]; });
    if (c == file.beside.end()) continue;
    if (c->kind == Kind::file)
      frame.shards[i] = c->bytes;
    else
      frame.set_kind(i, c->kind == Kind::link ? ShardKind::link_out : ShardKind::folder);
  }
  return framed(frame);
}

void valid_seeds(const fs::path& dir) {
  const fs::path data = fs::path(COPPICE_TESTS_DIR) / "data";
  for (const auto& entry : fs::directory_iterator(data / "torch")) {
    const std::string name = entry.path().filename().string(), extension = entry.path().extension().string();
    if (extension == ".py") continue;
    const char* target = extension == ".safetensors"  ? "safetensors"
                         : extension == ".npz"        ? "npz"
                         : extension == ".npy"        ? "npy"
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
  std::size_t place = 0;
  for (const Hostile& state : state_cases())
    if (state.bytes.size() <= kLargestSeed) spill(dir / "sparsifier" / std::to_string(place++), state.bytes);
  spill(dir / "sparsifier/groups", groups_text());
  know_carrier();
  coppice::nn::save_model(Carrier(carried()), dir / "model_file/arguments.safetensors");
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
    for (const char* target : {"safetensors", "sharded", "torch_zip", "torch_legacy", "npy", "npz", "model_file",
                               "arch_json", "checkpoint", "sparsifier", "sparse_members"})
      fs::create_directories(dir / target);
  std::size_t place = 0, written = 0;
  for (const HostileFile& file : hostile_corpus()) {
    if (seeds) {
      for (const char* target : targets_of(file)) {
        spill(dir / target / file.entry_name(place), seed_of(file));
        ++written;
      }
    } else {
      const std::string name = write_hostile(file, dir, place).lexically_relative(dir).string();
      ++written;
      std::printf("%s\t%s\t%s\n", coppice::printable(name).c_str(), file.input.category.c_str(),
                  file.input.what.c_str());
    }
    ++place;
  }
  if (seeds) valid_seeds(dir);
  std::fprintf(stderr, "%zu files\n", written);
  return 0;
}
