/// Any index beside any shards, some of them links or folders: shard_frame.h says how the bytes are divided.

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdarg>
#include <map>

#include "coppice/engine/io/safetensors.h"
#include "coppice/engine/io/sharded.h"
#include "fuzz/fuzz_target.h"
#include "fuzz/mutate.h"
#include "fuzz/shard_frame.h"
#include "hostile/build.h"

using namespace coppice;
namespace fs = std::filesystem;

namespace {

constexpr const char* kIndex = "model.safetensors.index.json";

bool watched = false;    // files are opened by the reader that is tested
std::string allowed[2];  // the paths that it may open: the index and its folder

mode_t mode_of(int flags, std::va_list list) { return (flags & O_CREAT) != 0 ? va_arg(list, mode_t) : 0; }

/// The folder with everything of `frame` in it, and beside it a shard that no index may reach.
fs::path folder_of(const fuzz::ShardFrame& frame) {
  static const fs::path folder = fuzz::scratch("shards");
  static const bool made = [] {
    test::spill(fuzz::scratch("outside.safetensors"),
                test::st(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "!"));
    return fs::create_directory(folder);
  }();
  fuzz::require(made, "no folder");
  test::spill(folder / kIndex, frame.index);
  for (std::size_t i = 0; i < fuzz::kShardNames.size(); ++i) {
    const fs::path path = folder / fuzz::kShardNames[i];
    fs::remove(path);
    switch (frame.kind(i)) {
      case fuzz::ShardKind::file:
        if (!frame.shards[i].empty()) test::spill(path, frame.shards[i]);
        break;
      case fuzz::ShardKind::link_out: fs::create_symlink("../outside.safetensors", path); break;
      case fuzz::ShardKind::link_beside: fs::create_symlink(fuzz::kShardNames[0], path); break;
      case fuzz::ShardKind::folder: fs::create_directory(path); break;
    }
  }
  return folder;
}

/// As fuzz::loads, but a shard may be missing too.
bool loads(const std::function<void()>& load) {
  bool missing = false;
  const bool fine = fuzz::loads([&] {
    watched = true;
    try {
      load();
    } catch (const IoError&) {
      missing = true;
    } catch (...) {
      watched = false;
      throw;
    }
    watched = false;
  });
  return fine && !missing;
}

/// Each tensor of the map once, from the shard that the map names, and those that notes tie to one; the rest of the
/// shards is named.
void check(const fs::path& folder, const ShardIndex& index, const NamedTensors& read) {
  std::map<std::string, NamedTensors> shards;
  std::size_t all = 0;
  for (const std::string& name : index.shards) {
    fuzz::require(fs::symlink_status(folder / name).type() == fs::file_type::regular, "a shard is no regular file");
    const NamedTensors& shard = shards.emplace(name, read_safetensors(folder / name, fuzz::tight())).first->second;
    all += shard.size() + shard.skipped().size();
  }
  NamedTensors expected, found;
  for (const auto& [name, shard] : index.tensors)
    if (const Tensor* tensor = shards.at(index.shards[shard]).find(name)) expected.add(name, *tensor);
  for (const auto& [name, tensor] : expected) found.add(name, read.at(name));
  fuzz::require_same(found, expected);
  for (const auto& [name, tensor] : read)
    fuzz::require(expected.contains(name) || index.notes.contains(name) || read.size() == expected.size(),
                  "a tensor that neither the map nor a note names");
  fuzz::require(expected.size() + read.skipped().size() == all,
                "a tensor of a shard is neither read nor named as left out");
}

}  // namespace

/// The reader's calls come here: nothing but the index, its folder, and plain names in it, not through links.
extern "C" int open(const char* path, int flags, ...) {
  std::va_list list;
  va_start(list, flags);
  const mode_t mode = mode_of(flags, list);
  va_end(list);
  fuzz::require(!watched || path == allowed[0] || path == allowed[1], "a file outside the folder was opened");
  return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}
extern "C" int openat(int folder, const char* path, int flags, ...) {
  std::va_list list;
  va_start(list, flags);
  const mode_t mode = mode_of(flags, list);
  va_end(list);
  const std::string_view name = path;
  fuzz::require(!watched || (folder >= 0 && name.find('/') == name.npos && name != ".." && (flags & O_NOFOLLOW) != 0),
                "a shard was opened by a path or through a link");
  return static_cast<int>(::syscall(SYS_openat, folder, path, flags, mode));
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fs::path folder = folder_of(fuzz::unframed({reinterpret_cast<const char*>(data), size}));
  allowed[0] = (folder / kIndex).string();
  allowed[1] = folder.string();
  ShardIndex index;
  NamedTensors read;
  const bool index_fine = loads([&] { index = read_shard_index(folder / kIndex, fuzz::tight()); });
  const bool read_fine = loads([&] { read = read_sharded(folder / kIndex, fuzz::tight()); });
  fuzz::require(index_fine || !read_fine, "shards were read whose index alone was refused");
  if (read_fine) check(folder, index, read);
  return 0;
}

#ifdef COPPICE_FUZZING
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  return fuzz::mutate_sharded(data, size, most, seed);
}
#endif
