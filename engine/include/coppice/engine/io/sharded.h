#pragma once
/// Checkpoints in several files under one index, `model.safetensors.index.json` or `pytorch_model.bin.index.json`.

#include <filesystem>
#include <map>
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
  std::map<std::string, std::string> notes;                  ///< texts of "metadata", the first of each key
};

/// The index alone: {"metadata": …, "weight_map": {tensor: file}}. No shard is opened. What
/// "metadata" holds breaks no rule; its "total_size" counts tensor bytes in some files and file bytes in others.
/// @throws IoError; LimitError (header_bytes, tensors, name_bytes, shards, nesting); FormatError  for other JSON, a
///         name that stands twice, and a shard that is not the plain name of a .safetensors or .bin file: no folders,
///         no "..", no backslash, no NUL
[[nodiscard]] ShardIndex read_shard_index(const std::filesystem::path& path, const ReadOptions& options = {});

/// All tensors in the order of the index, and behind them those that its notes say are tied to one. A shard that ends
/// in .bin is one of PyTorch's. Metadata on which all shards agree is kept ("format": "pt").
///
/// Shards are opened relative to the folder of the index, as regular files of that folder. A symbolic link is followed
/// where a cache of Hugging Face has them: the folder is ROOT/snapshots/COMMIT or below, and the link stays inside
/// ROOT, at each step. Elsewhere it is refused, unless ReadOptions::follow_links is on.
///
/// Each tensor must stand in the shard that the index names and in no other. Tensors of a shard that the index does
/// not list, and what the reader of the shard leaves out, are named in skipped().
/// @throws as read_shard_index, read_safetensors and read_torch; IoError  for a shard that is missing
[[nodiscard]] NamedTensors read_sharded(const std::filesystem::path& path, const ReadOptions& options = {});

}  // namespace coppice
