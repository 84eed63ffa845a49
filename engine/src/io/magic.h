#pragma once
/// What a file is, by its first bytes.

#include <cstddef>
#include <cstdint>
#include <span>

namespace coppice {

enum class FileKind : std::uint8_t {
  empty,
  zip,
  torch_legacy,
  npy,
  safetensors,
  pickle,
  tar,
  gzip,
  seven_zip,
  hdf5,
  gguf,
  onnx,
  html,
  lfs_pointer,
  unknown
};

[[nodiscard]] FileKind file_kind(std::span<const std::byte> bytes);
/// "a .npy array", "compressed with gzip (unpack it first)" …
[[nodiscard]] const char* describe(FileKind kind);

}  // namespace coppice
