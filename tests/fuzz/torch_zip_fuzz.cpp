/// Any bytes as a .pt archive, zip or tar. torch_legacy_fuzz.cpp is the same for the format before PyTorch 1.6.

#include "fuzz/mutate.h"
#include "fuzz/torch_round_trip.h"

using namespace coppice;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::check_torch_file(fuzz::file_of({data, size}));
  return 0;
}

#ifdef COPPICE_FUZZING
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  return fuzz::mutate_zip(data, size, most, seed);
}
#endif
