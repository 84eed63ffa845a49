#pragma once
/// The tensors of a module tree by name, out and in.

#include <string>
#include <vector>

#include "coppice/engine/io/named_tensors.h"
#include "coppice/nn/module.h"

namespace coppice::nn {

/// Own parameters, then own persistent buffers, then the children's, in order; shared tensors stand once per path.
/// The values share the live storage, detached.
[[nodiscard]] NamedTensors state_dict(const Module& module, std::string_view prefix = "");

/// The same with the tensors of modules that keep out of state dicts (Module::saves_state), for files of whole models.
[[nodiscard]] NamedTensors all_tensors(const Module& module);

/// What does not fit between a module and a set of tensors.
struct LoadReport {
  struct Mismatch {
    std::string name;
    Shape given;
    Shape own;
  };
  std::vector<std::string> missing;     ///< the module has it, the set has not
  std::vector<std::string> unexpected;  ///< the set has it, the module has not
  std::vector<Mismatch> mismatched;     ///< different shapes

  [[nodiscard]] bool empty() const { return missing.empty() && unexpected.empty() && mismatched.empty(); }
};
/// One line per kind of trouble; "all names match" when there is none.
[[nodiscard]] std::string to_string(const LoadReport& report);

/// A load that failed, with the three lists.
struct LoadError : KeyError {
  explicit LoadError(const std::string& head, LoadReport lists);
  LoadReport report;
};

/// Copies values into the module's parameters and buffers, converting element types; which tensor is which, gradients
/// and requires_grad stay. A 0-d tensor takes a tensor of shape (1,). A missing `num_batches_tracked` is forgiven.
///
/// @param strict  missing and unexpected names are errors too; different shapes always are
/// @return        the lists that were found (all empty when strict)
/// @throws LoadError; FormatError  for numbers that a packed layer must not have; with nothing changed
LoadReport load_state_dict(Module& module, const NamedTensors& tensors, bool strict = true);

}  // namespace coppice::nn
