#pragma once
/// Tied tensors: names of the same bytes, which stand in a file once.
///
/// The metadata names the others, as safetensors.torch.save_model writes it: under the name that has no data stands the
/// one that has. Source: safetensors/torch.py, _remove_duplicate_names and save_model.

#include <cstddef>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "coppice/engine/io/budget.h"
#include "coppice/engine/io/named_tensors.h"

namespace coppice {

/// For each tensor the position of the one that is written for it, most often its own: of several with the same bytes,
/// shape and type that of the name which is the lowest by bytes. Empty tensors stand for themselves, and so do names
/// that the metadata has as keys for something else.
[[nodiscard]] std::vector<std::size_t> tied_to(const NamedTensors& tensors);

/// Takes the notes of ties out of the metadata, and adds the tensors that they name behind the others. A note is one
/// whose key names no tensor and whose text names one, or the key of another note; "format" and keys of ours are none.
/// @param left_out  names of tensors that the file has and that are not read
/// @throws LimitError  `budget`, and Limits::tensors
void add_ties(NamedTensors& tensors, const std::set<std::string, std::less<>>& left_out, const Source& source,
              const Limits& limits, MemoryBudget& budget);

}  // namespace coppice
