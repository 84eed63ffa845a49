#pragma once
/// Checkpoints in several safetensors files under one index, `model.safetensors.index.json`.

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "coppice/engine/io/limits.h"
#include "coppice/engine/io/named_tensors.h"

namespace coppice {

/// What an index says: which tensor stands in which file beside the index.
struct ShardIndex {
  std::vector<std::string> shards;                           ///< file names, in the order of their first tensor
  std::vector<std::pair<std::string, std::size_t>> tensors;  ///< name and its place in `shards`, as in the index
};

/// The index alone: {"metadata": …, "weight_map": {tensor: file}}. No shard is opened. "metadata" is not looked at:
/// its "total_size" counts tensor bytes in some files and file bytes in others.
/// @throws IoError; LimitError (header_bytes, tensors, name_bytes, shards, nesting); FormatError  for other JSON, a
///         name that stands twice, and a shard that is not the plain name of a .safetensors file: no folders, no "..",
///         no backslash, no NUL
[[nodiscard]] ShardIndex read_shard_index(const std::filesystem::path& path, const ReadOptions& options = {});

/// All tensors in the order of the index. Shards are opened relative to the folder of the index, as regular files of
/// that folder: a symbolic link is refused. Metadata on which all shards agree is kept ("format": "pt").
///
/// Each tensor must stand in the shard that the index names and in no other. Tensors of a shard that the index does
/// not list are left out and named in skipped().
/// @throws as read_shard_index and read_safetensors; IoError  for a shard that is missing
[[nodiscard]] NamedTensors read_sharded(const std::filesystem::path& path, const ReadOptions& options = {});

}  // namespace coppice
