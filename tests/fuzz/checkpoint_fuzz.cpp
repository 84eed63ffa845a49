/// Any bytes as the checkpoint that a training goes on from. What is refused leaves the model and the random numbers
/// as they were; what is accepted ends in a checkpoint that gives the same model again.

#include "coppice/engine/random.h"
#include "coppice/nn/state_dict.h"
#include "fuzz/fuzz_target.h"
#include "fuzz/mutate.h"
#include "hostile/build.h"
#include "hostile/small_run.h"

using namespace coppice;

namespace {

NamedTensors copies(const nn::Module& model) {
  NamedTensors out;
  for (const auto& [name, tensor] : nn::all_tensors(model)) out.add(name, tensor.clone());
  return out;
}

/// Trains `run` on from its checkpoint: empty when it was accepted, else the refusal.
std::string resumed(test::SmallRun& run) {
  std::string said;
  const bool fine = fuzz::loads([&] {
    try {
      const sparsity::FinetuneReport report = sparsity::finetune(*run.model, run.data, run.options);
      const auto epochs = static_cast<std::int64_t>(report.epochs.size());
      fuzz::require(epochs == run.options.epochs, "a run ended with another number of epochs");
      fuzz::require(report.best_epoch >= 1 && report.best_epoch <= epochs, "the best epoch is none");
    } catch (const ValueError& error) {
      // Weights may be any numbers.
      said = error.what();
      fuzz::require(said.starts_with("[Trainer] the loss became "), "a checkpoint was refused with a ValueError");
    } catch (const Error& error) {
      said = error.what();
      throw;
    }
  });
  fuzz::require(fine || !said.empty(), "a refusal without words");
  return said;
}

/// One attempt with these bytes; what it said.
/// @param verify  compare the checksums that the bytes carry
std::string attempt(const std::string& bytes, bool verify) {
  static test::SmallRun run = test::small_run();  // refused or not, the same model is used until one was trained
  static const NamedTensors fresh = copies(*run.model);
  run.options.checkpoint = fuzz::scratch("run.safetensors");
  run.options.read.verify = verify;
  test::spill(run.options.checkpoint, bytes);
  const Generator::State random = default_generator().state();
  std::string said = resumed(run);
  if (!said.empty()) {
    fuzz::require_same(copies(*run.model), fresh);
    // A loss that is no number is met after the random state of the checkpoint came into force.
    fuzz::require(said.starts_with("[Trainer] the loss") || default_generator().state() == random,
                  "a refused checkpoint changed the random numbers");
    return said;
  }
  const NamedTensors trained = copies(*run.model);
  run = test::small_run();
  run.options.checkpoint = fuzz::scratch("run.safetensors");
  run.options.read.verify = verify;  // a run that was done leaves the file as it is
  fuzz::require(resumed(run).empty(), "the checkpoint that a run left was refused");
  fuzz::require_same(copies(*run.model), trained);
  run = test::small_run();
  return said;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  const std::string said = attempt(bytes, true);
  if (said.find("checksum") != said.npos) (void)attempt(bytes, false);  // behind them stand more rules
  return 0;
}

#ifdef COPPICE_FUZZING
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  return fuzz::mutate_checkpoint(data, size, most, seed);
}
#endif
