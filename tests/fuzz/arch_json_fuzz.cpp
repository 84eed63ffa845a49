/// Any text as a description of an architecture.

#include "coppice/nn/init.h"
#include "coppice/nn/io/architecture.h"
#include "fuzz/fuzz_target.h"
#include "fuzz/mutate.h"

using namespace coppice;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const nn::SkipInit no_random_numbers;  // what a description asks for may be large; filling it would take the time
  const std::string text(reinterpret_cast<const char*>(data), size);
  nn::ModulePtr model;
  if (!fuzz::loads([&] { model = nn::parse_architecture(text, "input"); })) return 0;
  std::size_t bytes = 0;
  for (const auto& [name, tensor] : model->named_parameters()) bytes += tensor.nbytes();
  if (bytes > 1u << 20) return 0;
  const nn::ModulePtr copy = model->clone();
  std::vector<std::string> own, cloned;
  for (const auto& [name, tensor] : model->named_parameters()) own.push_back(name + coppice::to_string(tensor.shape()));
  for (const auto& [name, tensor] : copy->named_parameters())
    cloned.push_back(name + coppice::to_string(tensor.shape()));
  fuzz::require(own == cloned, "a clone has other parameters");
  return 0;
}

#ifdef COPPICE_FUZZING
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  return fuzz::mutate_json(data, size, most, seed);
}
#endif
