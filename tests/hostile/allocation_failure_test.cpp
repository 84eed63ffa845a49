/// Memory that runs out at any allocation of a load: std::bad_alloc or LimitError, nothing leaked, nothing changed.
#include "coppice/engine/create.h"
#include "coppice/engine/io/load.h"
#include "coppice/engine/io/npy.h"
#include "coppice/engine/io/safetensors.h"
#include "coppice/engine/io/torch_file.h"
#include "coppice/engine/parallel.h"
#include "coppice/nn.h"
#include "engine/io/io_support.h"
#include "hostile/allocation.h"
#include "hostile/corpus.h"
#include "hostile/small_run.h"

using namespace coppice;
using namespace coppice::test;

namespace {

NamedTensors some() {
  return {{"weight", full({3, 2}, 2)}, {"bias", full({3}, 3)}, {"flags", full({4}, 1, Dtype::boolean)}};
}

std::string bytes_of(const nn::Module& module) {
  std::string out;
  for (const auto& [name, t] : nn::all_tensors(module)) {
    out += name;
    out.append(reinterpret_cast<const char*>(t.bytes()), t.nbytes());
  }
  return out;
}

}  // namespace

TEST_SUITE("hostile/allocation") {
  TEST_CASE("the count sees what is left behind, and the n-th allocation fails") {
    const std::int64_t before = live_blocks();
    auto* block = new int(1);
    CHECK(live_blocks() == before + 1);
    delete block;
    CHECK(live_blocks() == before);
    const std::int64_t blocks = storage_blocks();
    CHECK(Storage::allocate(std::size_t{1} << 25) != nullptr);
    CHECK(storage_blocks() == blocks + 1);
    fail_at(1);
    CHECK_THROWS_AS((void)Storage::allocate(std::size_t{1} << 25), LimitError);
    fail_at(2);
    CHECK_THROWS_AS((void)Storage::allocate(std::size_t{1} << 25), std::bad_alloc);
    fail_at(3);
    CHECK_THROWS_AS((void)Storage::allocate(std::size_t{1} << 25), std::bad_alloc);
    fail_at(0);
  }

  TEST_CASE("loading each format") {
    set_num_threads(1);
    const TempDir dir;
    for (const char* name : {"t.safetensors", "t.pt", "t.npz"}) save_tensors(dir / name, some());
    save_tensors(dir / "t.npy", {{"x", full({5, 5}, 1)}});
    spill(dir / "deflated.npz", make_zip({packed("a.npy", zeros(300)), {"b.npy", zeros(3)}}));
    for (const char* name : {"t.safetensors", "t.pt", "t.npz", "t.npy", "deflated.npz"}) {
      CAPTURE(name);
      CHECK(fail_everywhere([&] { CHECK(!load_tensors(dir / name).empty()); }) > 10);
    }
    for (const char* name : {"checkpoint_2_13.pt", "legacy_2_13.pt", "fortran_big_endian.npy"}) {
      CAPTURE(name);
      CHECK(fail_everywhere([&] { CHECK(!load_tensors(kData / "torch" / name).empty()); }) > 10);
    }
  }

  TEST_CASE("loading checkpoints in shards, unaligned values, other orders of bytes and axes") {
    set_num_threads(1);
    const TempDir dir;
    int sharded = 0, unaligned = 0, ordered = 0;
    std::size_t place = 0;
    std::vector<HostileFile> files = sharded_cases();
    for (HostileFile& file : path_cases()) files.push_back(std::move(file));
    for (const HostileFile& file : files) {
      if (file.values.empty()) continue;
      CAPTURE(file.input.what);
      const auto path = write_hostile(file, dir.path(), place++);
      CHECK(fail_everywhere([&] { read_hostile(file, path); }) > 3);
      sharded += file.extension == ".index", unaligned += file.id() == "H27", ordered += file.id() == "H80";
      if (file.id() != "H80") continue;
      spill(dir / "t.npz", make_zip({{"a.npy", file.input.bytes}, packed("b.npy", file.input.bytes)}));
      CHECK(fail_everywhere([&] { CHECK(load_tensors(dir / "t.npz").size() == 2); }) > 10);
    }
    CHECK(sharded >= 6);
    CHECK(unaligned >= 9);
    CHECK(ordered == 24);
  }

  TEST_CASE("loading models, also with packed layers and masks, and architectures") {
    set_num_threads(1);
    const TempDir dir;
    spill(dir / "packed.safetensors", good_packed_model());
    const auto linear = std::make_shared<nn::Linear>(3, 2);
    nn::set_mask(*linear, "weight", ones({2, 3}));
    nn::save_model(*linear, dir / "masked.safetensors");
    for (const char* name : {"packed.safetensors", "masked.safetensors"}) {
      CAPTURE(name);
      CHECK(fail_everywhere([&] { CHECK(nn::load_model(dir / name) != nullptr); }) > 50);
    }
    CHECK(fail_everywhere([&] { CHECK(nn::read_architecture(kData / "mlp_digits.arch.json") != nullptr); }) > 50);
  }

  TEST_CASE("loading a state dict leaves the module as it was") {
    set_num_threads(1);
    const auto model = nn::parse_architecture(R"({"type": "Sequential", "modules": [
        {"type": "Linear", "args": {"in_features": 3, "out_features": 2}},
        {"type": "Linear", "args": {"in_features": 2, "out_features": 2}}]})");
    const auto other = model->clone();
    {
      const NoGrad in_place;
      for (const auto& [name, t] : other->named_parameters()) Tensor(t).fill_(7);
    }
    const NamedTensors state = nn::state_dict(*other);
    const std::string before = bytes_of(*model);
    bool first = true;
    CHECK(fail_everywhere(
              [&] {
                if (std::exchange(first, false)) return (void)nn::load_state_dict(*model->clone(), state);
                nn::load_state_dict(*model, state);
              },
              [&] { return bytes_of(*model) == before; }) > 5);
    CHECK(bytes_of(*model) == bytes_of(*other));
  }

  TEST_CASE("going on from a checkpoint: a model whose training fails computes what it did") {
    set_num_threads(1);
    const TempDir dir;
    for (const int epochs : {3, 2}) {  // the run was done; one epoch is still to be trained
      CAPTURE(epochs);
      const std::string checkpoint = small_checkpoint(epochs);
      SmallRun run = small_run();
      run.options.checkpoint = dir / "run.safetensors";
      const Tensor before = (*run.model)(run.data.x);
      bool same = true, trained = false;
      const auto train = [&] {
        const nn::ModulePtr model = run.model->clone();
        try {
          (void)sparsity::finetune(*model, run.data, run.options);
        } catch (...) {
          stop_failing();
          same = same && (*model)(run.data.x) == before && model->training();
          throw;
        }
        trained = !((*model)(run.data.x) == before);
      };
      spill(run.options.checkpoint, checkpoint);
      CHECK(fail_everywhere(train, [&] {
              spill(run.options.checkpoint, checkpoint);
              return std::exchange(same, true);
            }) > 100);
      CHECK(trained);
    }
  }

  TEST_CASE("saving leaves the old file") {
    set_num_threads(1);
    const TempDir dir;
    for (const char* name : {"t.safetensors", "t.pt", "t.npz"}) {
      CAPTURE(name);
      save_tensors(dir / name, {{"old", ones({2})}});
      const std::string old = slurp(dir / name);
      bool first = true;
      CHECK(fail_everywhere(
                [&] { save_tensors(std::exchange(first, false) ? dir / (cat("first-", name)) : dir / name, some()); },
                [&] { return slurp(dir / name) == old && !std::filesystem::is_empty(dir.path()); }) > 10);
      CHECK(load_tensors(dir / name).size() == 3);
      std::filesystem::remove(dir / cat("first-", name));
      CHECK(dir.size() == 1);
      std::filesystem::remove(dir / name);
    }
  }

  TEST_CASE("refusing a hostile file") {
    set_num_threads(1);
    const TempDir dir;
    const auto refuse = [&](const std::string& name, const std::string& bytes) {
      spill(dir / name, bytes);
      return fail_everywhere([&] {
        try {
          (void)load_tensors(dir / name);
        } catch (const FormatError&) {
        }
      });
    };
    CHECK(refuse("t.safetensors", safetensors_values().front().bytes) > 5);
    CHECK(refuse("t.pt", torch_code().front().bytes) > 5);
    CHECK(refuse("t.npz", zip_cases().back().bytes) > 5);
  }
}
