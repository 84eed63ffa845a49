#pragma once
// Where results may be written, and the writing itself.

#include <functional>
#include <string>
#include <vector>

#include "coppice/engine/io/safetensors.h"

namespace coppice::cli {

/// Whether something stands at `path`, a link too. @throws IoError  for what no file replaces (a directory, pipe or
/// device), and where nobody can tell
[[nodiscard]] bool replaceable(const std::string& path);
/// Refuses to overwrite: an input ever, an existing file without `force`. @throws UsageError; IoError  for an output
/// that could not be written: now rather than after the work
void check_output(const std::string& output, const std::vector<std::string>& inputs, bool force);

/// Refuses names that promise another format than safetensors. @throws UsageError
void writes_safetensors(const std::string& output);
/// What --checksums asks for. @throws UsageError  if the output has another format
[[nodiscard]] SafetensorsWriteOptions write_options(const std::string& output, bool checksums);
/// Writes the output of a command: Ctrl-C waits until `save` is done, and is reported then.
void write_output(const std::string& output, const std::function<void()>& save);

}  // namespace coppice::cli
