#pragma once
/// From the names of a checkpoint to those of a module: what wrappers and training programs put around a state dict.

#include <string>
#include <vector>

#include "coppice/engine/io/named_tensors.h"

namespace coppice::nn {

/// Rules, applied in this order. Empty ones do nothing.
struct Renaming {
  std::string key = {};     ///< "state_dict": what stands below this key, without it
  std::string prefix = {};  ///< "encoder.": names that begin with this text, without it
  std::vector<std::string> strip =
      {};  ///< texts taken off the beginning of the names that have them, one after the other
  /// Texts taken out wherever a part of a name, between its dots, begins with them: "_orig_mod." of compiled layers.
  std::vector<std::string> cut = {};
  /// Patterns of tensors to leave out (nn/name_pattern.h), by the names in the file or by those that came of them.
  std::vector<std::string> ignore = {};
  friend bool operator==(const Renaming&, const Renaming&) = default;
};

/// The tensors under their new names, in order, with the metadata; what is left out is named in skipped() as it was.
/// @throws KeyError  for a rule that meets no name, and for two tensors that would get one name
[[nodiscard]] NamedTensors renamed(const NamedTensors& tensors, const Renaming& rules);

}  // namespace coppice::nn
