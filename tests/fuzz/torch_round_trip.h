#pragma once
/// What must hold of any .pt file, whichever format it is in.

#include <filesystem>

#include "coppice/engine/io/torch_file.h"
#include "fuzz/fuzz_target.h"

namespace coppice::fuzz {

/// Read when strict, it is read otherwise, as the same; and what is read and written is read as the same again.
inline void check_torch_file(const std::filesystem::path& path) {
  NamedTensors read, strict;
  const bool read_at_all = loads([&] { read = read_torch(path, tight()); });
  ReadOptions options = tight();
  options.strict = true;
  if (loads([&] { strict = read_torch(path, options); })) {
    require(read_at_all, "what is read when strict must be read otherwise");
    require_same(read, strict);
  }
  if (!read_at_all || !small(read)) return;
  const auto copy = scratch("copy.pt");
  write_torch(copy, read);
  require_same(read, read_torch(copy));
}

}  // namespace coppice::fuzz
