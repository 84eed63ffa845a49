#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "coppice/engine/io/limits.h"
#include "coppice/engine/io/named_tensors.h"
#include "coppice/sparsity/training/callback.h"

namespace coppice::sparsity {

/// Writes after every epoch what a training needs to go on: the model's tensors, the optimiser, both random states, the
/// position, and the parts that others add, in one safetensors file with checksums. A training that finds the file goes
/// on from there, and ends with the bytes that it would have had without the interruption.
///
/// Add it behind the callbacks whose state it keeps, so that it sees them after the epoch.
class Checkpoint final : public Callback {
 public:
  /// The state of somebody else: how it joins the file's tensors, and comes back out of them.
  struct Part {
    std::function<void(NamedTensors& all)> save;
    /// TrainContext::step is the file's, `limits` are those of the Checkpoint. Whatever Error it throws becomes a
    /// FormatError about the file, but for a LimitError; it leaves everything as it was then.
    std::function<void(const NamedTensors& all, const TrainContext& context, const Limits& limits)> load;
    /// Called before load(): gives what puts the present state back, should the file be refused after this part.
    /// Without it that which load() took over stays.
    std::function<std::function<void()>()> keep = {};
  };

  /// @param recipe  what the training depends on beside its state, as a JSON object of numbers and texts: a file of
  ///                another recipe is refused, naming the setting that differs
  /// @throws ValueError  for a recipe that is none, or of more than 4,000 bytes
  /// @param read    how the file is read; it is never mapped, since it is written again
  Checkpoint(std::filesystem::path path, std::string recipe, const ReadOptions& read = {});
  /// Parts are written and read in the order in which they were added. @throws ValueError  if a function is missing
  void add(Part part);

  /// Goes on from the file if there is one. Where it throws, everything is as before, but for parts without `keep`.
  /// @throws FormatError  for a damaged or incomplete file, one of a newer format, or one of another recipe;
  ///         LimitError, IoError
  void on_fit_start(TrainContext& context) override;
  /// Atomic. @throws IoError
  void on_train_epoch_end(TrainContext& context) override;

 private:
  [[nodiscard]] std::string document() const;

  std::filesystem::path path_;
  std::string recipe_;
  ReadOptions read_;
  std::vector<Part> parts_;
};

}  // namespace coppice::sparsity
