#pragma once
/// A training that takes no time: what checkpoints are made of and read into. Names no test framework.

#include <filesystem>
#include <string>
#include <vector>

#include "coppice/sparsity/training/finetune.h"

namespace coppice::test {

struct SmallRun {
  nn::ModulePtr model;
  sparsity::Dataset data;
  sparsity::FinetuneOptions options;
};

/// The same numbers at every call; no checkpoint is set. The default generator is left alone.
[[nodiscard]] SmallRun small_run();

/// The bytes of the checkpoint after this many epochs of small_run().
[[nodiscard]] std::string small_checkpoint(int epochs);

/// small_run() from the checkpoint at `path` to its end. @throws as finetune()
sparsity::FinetuneReport resume_small_run(const std::filesystem::path& path);

/// Writes model and data into `dir`; the words of a command of the program that does the same as resume_small_run().
[[nodiscard]] std::vector<std::string> small_run_command(const std::filesystem::path& dir,
                                                         const std::filesystem::path& checkpoint);

}  // namespace coppice::test
