/// Any bytes behind the magic number of the format before PyTorch 1.6, so that no input is spent on finding it.

#include <array>
#include <vector>

#include "coppice/engine/io/torch_file.h"
#include "fuzz/fuzz_target.h"

using namespace coppice;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static constexpr std::array<std::uint8_t, 15> kMagic{0x80, 2,    0x8A, 10,   0x6C, 0xFC, 0x9C, 0x46,
                                                       0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, '.'};
  std::vector<std::uint8_t> bytes(kMagic.begin(), kMagic.end());
  // Saved inputs may be whole files.
  const bool whole = size >= kMagic.size() && std::equal(kMagic.begin(), kMagic.end(), data);
  bytes.insert(bytes.end(), data + (whole ? kMagic.size() : 0), data + size);
  const auto& path = fuzz::file_of(bytes);
  NamedTensors read;
  const bool read_at_all = fuzz::loads([&] { read = read_torch(path, fuzz::tight()); });
  ReadOptions options = fuzz::tight();
  options.strict = true;
  NamedTensors strict;
  if (fuzz::loads([&] { strict = read_torch(path, options); })) {
    fuzz::require(read_at_all, "what is read when strict must be read otherwise");
    fuzz::require_same(read, strict);
  }
  if (!read_at_all || !fuzz::small(read)) return 0;
  const auto copy = fuzz::scratch("copy.pt");
  write_torch(copy, read);
  fuzz::require_same(read, read_torch(copy));
  return 0;
}
