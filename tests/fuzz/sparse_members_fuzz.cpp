/// Any bytes as a checkpoint whose zeros are left out. What is put together must be the same after it was taken apart.

#include "coppice/engine/io/safetensors.h"
#include "coppice/sparsity/pack/sparse_members.h"
#include "fuzz/fuzz_target.h"
#include "fuzz/mutate.h"

using namespace coppice;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto& path = fuzz::file_of({data, size});
  ReadOptions options = fuzz::tight();
  options.verify = false;  // behind a wrong checksum stand more rules
  NamedTensors read, whole;
  if (!fuzz::loads([&] { read = read_safetensors(path, options); })) return 0;
  if (!fuzz::loads([&] { whole = sparsity::expand(read, path.string(), options.limits); })) return 0;
  fuzz::require(!sparsity::is_compact(whole), "what was put together says that it is not");
  fuzz::require(whole.nbytes() <= read.nbytes() + options.limits.extra_bytes || read.nbytes() > size,
                "more memory than the limit");
  if (!fuzz::small(whole)) return 0;
  const auto copy = fuzz::scratch("compact.safetensors");
  write_safetensors(copy, sparsity::compact(whole), {.checksums = size % 2 == 0, .tied = true});
  fuzz::require_same(whole, sparsity::expand(read_safetensors(copy)), true);
  return 0;
}

#ifdef COPPICE_FUZZING
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  return fuzz::mutate_sparse_members(data, size, most, seed);
}
#endif
