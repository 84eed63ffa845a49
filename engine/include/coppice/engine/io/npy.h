#pragma once
/// NumPy's array files: .npy (one array) and .npz (a zip of them).

#include <filesystem>

#include "coppice/engine/io/limits.h"
#include "coppice/engine/io/named_tensors.h"

namespace coppice {

/// The array of a .npy file, versions 1 to 3. Little-endian row-major values are shown in the mapped file; big-endian
/// and column-major ones are copied into our order.
/// @throws IoError, FormatError, LimitError; NotSupported for numeric types that this library has not. Object,
///         structured, text and date types are a FormatError: nothing in a file is ever executed. The nameless type of
///         two bytes (V2), as which NumPy writes bfloat16, is read with ReadOptions::v2_is_bf16.
[[nodiscard]] Tensor read_npy(const std::filesystem::path& path, const ReadOptions& options = {});
/// Atomic, version 1. The bytes are those that numpy.save writes.
/// @throws IoError; DtypeError for bfloat16, which NumPy does not have
void write_npy(const std::filesystem::path& path, const Tensor& tensor);

/// Arrays by name in the order of the archive, stored or deflated. Members that are no .npy are listed in skipped(),
/// and so are arrays of types that read_npy refuses, which are an error with ReadOptions::strict.
/// @throws as read_npy
[[nodiscard]] NamedTensors read_npz(const std::filesystem::path& path, const ReadOptions& options = {});
/// Atomic, stored, data at multiples of 64 bytes so that it can be mapped. @throws as write_npy; ValueError for names
/// that cannot stand in an archive
void write_npz(const std::filesystem::path& path, const NamedTensors& tensors);

}  // namespace coppice
