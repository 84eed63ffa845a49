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

/// Metadata key for the places of tied names in the order of all, of which the other notes say nothing: numbers, for
/// the names that are noted in their order by bytes. Written where they do not stand behind the others.
inline constexpr const char* kTiedAtKey = "coppice.tied_at";

/// The tensors that are written, each of those that are tied once, with notes of the others in the metadata.
[[nodiscard]] NamedTensors without_ties(const NamedTensors& tensors);

/// Takes the notes of ties out of the metadata, and adds the tensors that they name behind the others, or where
/// kTiedAtKey says; one that says nothing sound is left as it is. A note is one whose key names no tensor and whose
/// text names one, or the key of another note; "format" and keys of ours are none.
/// @param left_out  names of tensors that the file has and that are not read; texts under them leave the metadata too
/// @throws LimitError  `budget`, and Limits::tensors
void add_ties(NamedTensors& tensors, const std::set<std::string, std::less<>>& left_out, const Source& source,
              const Limits& limits, MemoryBudget& budget);

}  // namespace coppice
