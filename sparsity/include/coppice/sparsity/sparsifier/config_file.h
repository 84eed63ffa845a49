#pragma once
/// PyTorch's list of groups as a file.

#include <filesystem>
#include <string>
#include <string_view>

#include "coppice/engine/io/limits.h"
#include "coppice/sparsity/sparsifier/config.h"

namespace coppice::sparsity {

/// The groups of a JSON list, one object per tensor:
/// `[{"tensor_fqn": "0.weight", "sparsity_level": 0.8, "sparse_block_shape": [1, 4], "zeros_per_block": 4}, …]`.
/// Keys are "tensor_fqn", which must be there, and "module_fqn", "tensor_name", "sparsity_level" (0 .. 1),
/// "sparse_block_shape" (rows and columns), "zeros_per_block" (0 .. the entries of the block, where that is given) and
/// "score_dense". null is as good as no key. A dot in front of "tensor_fqn" is dropped.
/// @param source  what messages call the text
/// @throws FormatError  for other syntax, keys, kinds and values, for a tensor twice, and for an empty list: with the
///         file, the group, the key and the rule
[[nodiscard]] SparsifierConfig parse_sparsifier_config(std::string_view text, const std::string& source);
/// @throws as above; IoError, LimitError
[[nodiscard]] SparsifierConfig read_sparsifier_config(const std::filesystem::path& path, const Limits& limits = {});

}  // namespace coppice::sparsity
