/// Any bytes as a safetensors file.

#include "coppice/engine/io/safetensors.h"
#include "fuzz/fuzz_target.h"
#include "fuzz/mutate.h"

using namespace coppice;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto& path = fuzz::file_of({data, size});
  (void)fuzz::loads([&] { (void)read_safetensors(path, fuzz::tight()); });
  ReadOptions options = fuzz::tight();
  options.verify = false;  // behind a wrong checksum stand more rules
  NamedTensors read;
  bool header_read = false;
  const bool header_fine = fuzz::loads([&] {
    const SafetensorsHeader header = read_safetensors_header(path, options);
    header_read = true;
    for (const SafetensorsEntry& entry : header.entries)
      fuzz::require(entry.begin >= header.data_begin && entry.begin <= entry.end && entry.end <= size,
                    "an accepted entry lies outside the file");
  });
  const bool read_fine = fuzz::loads([&] { read = read_safetensors(path, options); });
  fuzz::require(header_fine == header_read && (header_fine || !read_fine), "the header alone was refused");
  if (!read_fine || !fuzz::small(read)) return 0;
  const auto copy = fuzz::scratch("copy.safetensors");
  write_safetensors(copy, read, {.checksums = size % 2 == 0});
  fuzz::require_same(read, read_safetensors(copy), true);
  return 0;
}

#ifdef COPPICE_FUZZING
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  return fuzz::mutate_framed(data, size, most, seed);
}
#endif
