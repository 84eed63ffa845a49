#pragma once
/// Tensor files of any known format.

#include <filesystem>

#include "coppice/engine/io/limits.h"
#include "coppice/engine/io/named_tensors.h"
#include "coppice/engine/io/safetensors.h"

namespace coppice {

/// The tensors of a .safetensors, .pt, .pth, .bin, .npz or .npy file, or of the index of a sharded checkpoint
/// (model.safetensors.index.json, pytorch_model.bin.index.json). The contents decide, not the extension; the one array
/// of a .npy file gets the name of the file without extension.
/// @throws IoError, LimitError, NotSupported; FormatError, also for a file of none of these formats
[[nodiscard]] NamedTensors load_tensors(const std::filesystem::path& path, const ReadOptions& options = {});

/// Writes by extension: .safetensors, .pt, .pth or .bin as PyTorch, .npz, .npy (of exactly one tensor). Atomic. Only
/// safetensors keeps the metadata. Tied tensors stay tied in safetensors and PyTorch's files: their bytes stand there
/// once.
/// @param options  for .safetensors; the other formats have checksums, or no place for them
/// @throws IoError; ValueError  for another extension, or what the format cannot hold
void save_tensors(const std::filesystem::path& path, const NamedTensors& tensors,
                  const SafetensorsWriteOptions& options = {});

}  // namespace coppice
