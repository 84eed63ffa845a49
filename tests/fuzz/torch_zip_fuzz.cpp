/// Any bytes as a .pt archive, zip or tar. torch_legacy_fuzz.cpp is the same for the format before PyTorch 1.6.

#include "coppice/engine/io/torch_file.h"
#include "fuzz/fuzz_target.h"
#include "fuzz/mutate.h"

using namespace coppice;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto& path = fuzz::file_of({data, size});
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

#ifdef COPPICE_FUZZING
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  return fuzz::mutate_zip(data, size, most, seed);
}
#endif
