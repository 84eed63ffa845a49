/// Any bytes as a .npz archive.

#include "coppice/engine/io/npy.h"
#include "fuzz/fuzz_target.h"
#include "fuzz/mutate.h"

using namespace coppice;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto& path = fuzz::file_of({data, size});
  NamedTensors read;
  if (!fuzz::loads([&] { read = read_npz(path, fuzz::tight()); }) || !fuzz::small(read)) return 0;
  const auto copy = fuzz::scratch("copy.npz");
  write_npz(copy, read);
  fuzz::require_same(read, read_npz(copy));
  return 0;
}

#ifdef COPPICE_FUZZING
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  return fuzz::mutate_zip(data, size, most, seed);
}
#endif
