/// Any bytes as a .npy file.

#include "coppice/engine/io/npy.h"
#include "fuzz/fuzz_target.h"

using namespace coppice;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto& path = fuzz::file_of({data, size});
  Tensor read;
  if (!fuzz::loads([&] { read = read_npy(path, fuzz::tight()); })) return 0;
  const auto copy = fuzz::scratch("copy.npy");
  write_npy(copy, read);
  fuzz::require_same({{"x", read}}, {{"x", read_npy(copy)}});
  return 0;
}
