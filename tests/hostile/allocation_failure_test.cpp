/// Memory that runs out at any allocation of a load: std::bad_alloc or LimitError, nothing leaked, nothing changed.
///
/// This program replaces operator new and posix_memalign(), which Storage takes its blocks from, so that the n-th
/// allocation fails.

#include <atomic>
#include <cstdlib>
#include <new>
#include <thread>

#include "coppice/engine/create.h"
#include "coppice/engine/io/load.h"
#include "coppice/engine/io/npy.h"
#include "coppice/engine/io/safetensors.h"
#include "coppice/engine/io/torch_file.h"
#include "coppice/engine/parallel.h"
#include "coppice/nn.h"
#include "engine/io/io_support.h"
#include "hostile/corpus.h"

namespace {

std::atomic<std::int64_t> live{0};      // blocks of operator new and posix_memalign
std::atomic<std::int64_t> countdown{0};  // the allocation that brings it to 0 fails; below: none

bool refuses() { return countdown.load() > 0 && countdown.fetch_sub(1) == 1; }

void* taken(std::size_t bytes, std::size_t alignment) {
  if (refuses()) return nullptr;
  void* block = alignment <= alignof(std::max_align_t)
                    ? std::malloc(bytes == 0 ? 1 : bytes)
                    : std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (block != nullptr) ++live;
  return block;
}

void* taken_or_thrown(std::size_t bytes, std::size_t alignment) {
  if (void* block = taken(bytes, alignment)) return block;
  throw std::bad_alloc();
}

void given(void* block) {
  if (block != nullptr) --live;
  std::free(block);
}

std::atomic<std::int64_t> storage_blocks{0};

}  // namespace

void* operator new(std::size_t bytes) { return taken_or_thrown(bytes, 1); }
void* operator new[](std::size_t bytes) { return taken_or_thrown(bytes, 1); }
void* operator new(std::size_t bytes, std::align_val_t a) { return taken_or_thrown(bytes, static_cast<std::size_t>(a)); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept { return taken(bytes, 1); }
void operator delete(void* block) noexcept { given(block); }
void operator delete[](void* block) noexcept { given(block); }
void operator delete(void* block, std::size_t) noexcept { given(block); }
void operator delete[](void* block, std::size_t) noexcept { given(block); }
void operator delete(void* block, std::align_val_t) noexcept { given(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept { given(block); }
void operator delete(void* block, const std::nothrow_t&) noexcept { given(block); }

/// Storage gives its blocks back with free(), which is not counted: leaks of these are for the sanitizer to see.
extern "C" int posix_memalign(void** block, std::size_t alignment, std::size_t bytes) noexcept {
  *block = refuses() ? nullptr : std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (*block == nullptr) return ENOMEM;
  ++storage_blocks;
  return 0;
}

using namespace coppice;
using namespace coppice::test;

namespace {

/// Calls `work` in a thread of its own (whose pool of blocks begins empty) with the n-th allocation failing, for every
/// n until it succeeds; the number of allocations. After each failure `unchanged` must hold and nothing may be left.
template <class Work, class Unchanged>
int fail_everywhere(Work work, Unchanged unchanged) {
  const auto attempt = [&](std::int64_t at) {
    std::string ended;
    const std::int64_t before = live;
    std::thread([&] {
      bool done = false, category = false;
      countdown = at;
      try {
        work();
        done = true;
      } catch (const std::bad_alloc&) {
        category = true;
      } catch (const LimitError&) {
        category = true;
      } catch (const std::exception& error) {
        countdown = 0;
        ended = error.what();
      }
      // `done` with the countdown at 0: a failure that was borne, such as a block that does not go to a pool.
      const bool reached = countdown <= 0;
      countdown = 0;
      if (ended.empty()) ended = done ? (reached && at > 0 ? "borne" : "done") : category ? "out of memory" : "?";
    }).join();
    const std::int64_t left = live - before - (ended.capacity() > 15 ? 1 : 0);
    CAPTURE(at);
    CAPTURE(ended);
    CHECK((ended == "done" || ended == "borne" || ended == "out of memory"));
    CHECK(left == 0);
    if (ended == "out of memory") CHECK(unchanged());
    return ended == "done";
  };
  REQUIRE(attempt(0));  // registers and tables that are made once
  for (int at = 1; at < 20'000; ++at)
    if (attempt(at)) return at - 1;
  FAIL("no end");
  return 0;
}

template <class Work>
int fail_everywhere(Work work) {
  return fail_everywhere(work, [] { return true; });
}

NamedTensors some() {
  return {{"weight", full({3, 2}, 2)}, {"bias", full({3}, 3)}, {"flags", full({4}, 1, Dtype::boolean)}};
}

std::string bytes_of(const nn::Module& module) {
  std::string out;
  for (const auto& [name, t] : module.named_parameters())
    out.append(reinterpret_cast<const char*>(t.bytes()), t.nbytes());
  return out;
}

}  // namespace

TEST_SUITE("hostile/allocation") {
  TEST_CASE("the count sees what is left behind, and the n-th allocation fails") {
    const std::int64_t before = live;
    auto* block = new int(1);
    CHECK(live == before + 1);
    delete block;
    CHECK(live == before);
    const std::int64_t blocks = storage_blocks;
    CHECK(Storage::allocate(std::size_t{1} << 25) != nullptr);
    CHECK(storage_blocks == blocks + 1);
    countdown = 1;
    CHECK_THROWS_AS((void)Storage::allocate(std::size_t{1} << 25), LimitError);
    countdown = 2;
    CHECK_THROWS_AS((void)Storage::allocate(std::size_t{1} << 25), std::bad_alloc);
    countdown = 3;
    CHECK_THROWS_AS((void)Storage::allocate(std::size_t{1} << 25), std::bad_alloc);
    countdown = 0;
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
