#pragma once
/// safetensors: a JSON header and raw data, https://github.com/huggingface/safetensors.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "coppice/engine/io/limits.h"
#include "coppice/engine/io/named_tensors.h"

namespace coppice {

/// Metadata key under which a file carries checksums: CRC-32 of what the header says, then of the bytes of each tensor
/// in the order of names, as words of eight hexadecimal digits. Readers take it out of the metadata.
inline constexpr const char* kChecksumKey = "coppice.crc32";

/// One line of the header.
struct SafetensorsEntry {
  std::string name;
  std::string dtype_name;      ///< as in the file: "F32", "BF16", "F8_E4M3" …
  std::optional<Dtype> dtype;  ///< nothing for types that this library has not
  Shape shape;
  std::uint64_t begin = 0;  ///< first byte in the file
  std::uint64_t end = 0;    ///< first byte behind
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  ///< in the order of the header
  std::map<std::string, std::string> metadata;
  /// CRC-32 of the bytes of each entry, in the order of `entries`; empty for a file that carries none, and when
  /// ReadOptions::verify is off.
  std::vector<std::uint32_t> checksums;
  std::uint64_t data_begin = 0;  ///< first byte of the data in the file
};

/// The header alone, fully checked against the size of the file and its own checksum; the data is not touched.
/// @throws IoError, FormatError, LimitError
[[nodiscard]] SafetensorsHeader read_safetensors_header(const std::filesystem::path& path,
                                                        const ReadOptions& options = {});

/// All tensors in the order of the header, with the metadata. Values are shown in the mapped file; unaligned ones are
/// copied.
///
/// Enforced: every check of the reference implementation (the data is covered exactly, without overlap, hole or rest;
/// no product overflows), no key twice, sizes below 2^48, and the limits. Checksums that the file carries are compared,
/// which reads every byte once, large tensors on all threads; with ReadOptions::verify off nothing of the data is
/// touched.
///
/// Tensors of known element types that this library has not (U16, U32, U64, C64, F8_E4M3 …) are left out and named in
/// skipped(); ReadOptions::widen_f8 reads those of eight bits as float32. Tied tensors stand in a file once: where the
/// metadata has, under a name that no tensor has, that of a tensor, as safetensors.torch.save_model writes, both are
/// tensors of the same bytes, and the note leaves the metadata. "format" and the keys of this library are no such
/// names.
/// @throws IoError, FormatError, LimitError; NotSupported for what would be left out, with ReadOptions::strict
[[nodiscard]] NamedTensors read_safetensors(const std::filesystem::path& path, const ReadOptions& options = {});

struct SafetensorsWriteOptions {
  enum class DataOrder {
    reference,  ///< by element type, larger ones first, then by name, as the reference writer: all aligned
    given,      ///< as in the NamedTensors; the reader copies what falls on an odd address
  };
  DataOrder data_order = DataOrder::reference;
  std::size_t alignment = 64;  ///< of the first byte of the data, a power of two of at least 8
  /// Add checksums to the metadata, under kChecksumKey. Model files always have them. A program that changes tensors
  /// and hands the metadata on makes them wrong, and the file is refused then.
  bool checksums = false;
  /// Write tensors of the same bytes, type and shape once, under the name that is the lowest by bytes, and note the
  /// others in the metadata, where read_safetensors() finds them. Programs that do not know such notes miss the names.
  /// save_tensors() always does so.
  bool tied = false;
};

/// A tensor that is made when it is written.
struct PlannedTensor {
  std::string name;
  Dtype dtype = Dtype::f32;
  Shape shape;
  std::function<Tensor()> make;        ///< gives a tensor of this type and shape; called once
  std::function<void()> written = {};  ///< if given, called when the tensor is written and forgotten
  /// If given, in the place of `make`: writes the bytes of the tensor from the given one on into the span. Called once
  /// for each piece of AtomicFile::kPiece bytes, several at once: nothing but the pieces is in memory.
  std::function<void(std::uint64_t, std::span<std::byte>)> fill = {};
};

/// write_safetensors() of tensors of which one at a time is in memory: each is made, written and forgotten, in the
/// order of the data. What `make` throws leaves the old file untouched.
/// @throws as write_safetensors; StateError  if `make` gives another type or shape; KeyError  for a name that is
/// planned
///         twice; ValueError  with `options.tied`
void write_safetensors(const std::filesystem::path& path, const std::vector<PlannedTensor>& plan,
                       const std::map<std::string, std::string>& metadata, const SafetensorsWriteOptions& options = {});

/// Atomic. The header keeps the order of `tensors`, whatever the order of the data, so that reading restores it.
/// The bytes depend on the arguments alone.
/// @throws IoError; ValueError for names that are no UTF-8, contain NUL or are "__metadata__", and for metadata
///         kChecksumKey, which is the writer's own
void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                       const SafetensorsWriteOptions& options = {});

/// Bytes of the file that write_safetensors() would write. @throws as it, but for IoError
[[nodiscard]] std::uint64_t safetensors_bytes(const NamedTensors& tensors, const SafetensorsWriteOptions& options = {});

}  // namespace coppice
