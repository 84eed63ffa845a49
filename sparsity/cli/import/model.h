#pragma once
// A model of a state dict and an architecture.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "app.h"
#include "coppice/nn/io/fitting_names.h"
#include "coppice/nn/module.h"

namespace coppice::cli {

/// What is taken of the checkpoint, and as what.
struct ImportRules {
  nn::Renaming names = {};
  bool strict = true;                      ///< names of either side that the other has not are errors
  std::optional<std::uint64_t> seed = {};  ///< draws what the checkpoint lacks; without it that is an error if strict
  std::optional<Dtype> dtype = {};         ///< of all floating tensors; nothing: float32
};

struct Imported {
  nn::ModulePtr model;
  std::size_t tensors = 0;            ///< of the checkpoint that were taken
  std::int64_t masked = 0;            ///< weights whose masks the checkpoint holds
  std::vector<std::string> prepared;  ///< weights that PyTorch's sparsifiers had prepared, and whose masks it did not
                                      ///< write: they are dense
  std::vector<std::vector<std::string>> untied;  ///< names of one tensor of the checkpoint each
  std::vector<std::string> drawn;     ///< tensors that the checkpoint lacks, with the values of a fresh layer
  std::vector<std::string> left_out;  ///< what was not taken
  /// How many finite numbers of a tensor became infinite in the type of the model.
  std::vector<std::pair<std::string, std::int64_t>> overflowed;
  Dtype model_type = Dtype::f32;
  std::vector<std::string> converted;  ///< floating tensors of another type than the model's, if the rules name none
};
/// @throws as load_tensors, read_architecture, nn::renamed and load_state_dict
[[nodiscard]] Imported import_model(const App& app, const std::string& weights, const std::string& arch,
                                    const ImportRules& rules = {});

/// Other names under which a checkpoint fits an architecture, if any are found; what `rules` ignores stays ignored.
[[nodiscard]] std::vector<nn::FittingNames> other_names(const App& app, const std::string& weights,
                                                        const std::string& arch, const ImportRules& rules);

}  // namespace coppice::cli
