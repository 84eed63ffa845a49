#pragma once
/// Checkpoints whose zeros are not stored: bare tensors, without a model.

#include <cstdint>
#include <string>
#include <vector>

#include "coppice/engine/io/limits.h"
#include "coppice/engine/io/named_tensors.h"

namespace coppice::sparsity {

/// Metadata key under which a file says, in JSON, which tensors are stored as sparse members, and their shapes.
inline constexpr const char* kSparseMembersKey = "coppice.sparse_members";

/// How one tensor is stored.
struct StoredTensor {
  std::string name;
  std::int64_t elements = 0;
  std::int64_t zeros = 0;  ///< of either sign
  std::uint64_t bytes_before = 0;
  std::uint64_t bytes = 0;
  bool sparse = false;
};

/// The tensors with each that becomes smaller so, names and header of a file counted, replaced, where it stands, by
/// members:
///
///   X.places      uint8: where the zeros are, a bit per element, and a bit for each zero if one of them is -0. Bytes
///                 of the bitmask that are 0 are left out where that makes it shorter
///   X.compressed  [count of set bits], type of X: the elements that are not zero, in order; one where all have
///                 the same bits, as those of a mask
///
/// docs/packed-formats.md has every byte, and the layout of older files, which expand() reads as well.
/// expand() brings back every bit: -0, and NaN with its payload. A tensor for whose members a name is taken stays as it
/// is, and so do empty and quantised ones. Metadata is kept. Tied tensors share their members, and are tied again when
/// they are expanded. Masks times weights leave -0 in half of the places: at 90 % zeros a float32 tensor takes 15 % of
/// its bytes, 12 % without them.
/// @param rows  if given, gets a row for each tensor, in order
/// @throws ValueError  if the tensors are the result of this already
[[nodiscard]] NamedTensors compact(const NamedTensors& tensors, std::vector<StoredTensor>* rows = nullptr);

/// Whether the metadata says that there are sparse members.
[[nodiscard]] bool is_compact(const NamedTensors& tensors);

/// What compact() was given, bit for bit and in its order.
/// @param file  for messages
/// @throws FormatError  if a member is missing, of another type or shape than the others say, or a spare bit is set;
///         LimitError  beyond Limits::extra_bytes, tensors and rank; before memory is taken
[[nodiscard]] NamedTensors expand(const NamedTensors& tensors, const std::string& file = "checkpoint",
                                  const Limits& limits = {});

}  // namespace coppice::sparsity
