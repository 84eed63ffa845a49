#pragma once
/// States of sparsifiers and schedulers as files.

#include <filesystem>
#include <string>

#include "coppice/engine/arguments.h"
#include "coppice/engine/io/limits.h"
#include "coppice/engine/io/named_tensors.h"

namespace coppice::sparsity {

/// Writes named arguments atomically, with checksums: the state_dict() of a scheduler, or to_arguments() of that of a
/// sparsifier. The file is a model file with one module that computes nothing (nn/io/model_file.h), and has its bounds.
/// @throws IoError; ValueError  beyond those bounds, such as 1000 names in one map, and for a number that is infinite
///         or NaN; KeyError  for a function that is not registered; with nothing written
void save_arguments(const Arguments& arguments, const std::filesystem::path& path);

/// @throws IoError, LimitError; FormatError  for a file that is something else, or names a function that is not
///         registered
[[nodiscard]] Arguments load_arguments(const std::filesystem::path& path, const ReadOptions& options = {});

/// What save_arguments() writes, for a file that holds more: the tensors among them, and a text in the metadata.
/// @throws as save_arguments(), but for IoError
[[nodiscard]] NamedTensors arguments_to_tensors(const Arguments& arguments);
/// The reverse. @param source  what messages call the tensors. @throws as load_arguments(), but for IoError
[[nodiscard]] Arguments arguments_from_tensors(const NamedTensors& tensors, const std::string& source,
                                               const Limits& limits = {});

}  // namespace coppice::sparsity
