#pragma once
/// What the fuzz targets share: inputs as files in memory, limits that keep an input cheap, and the round trip that
/// whatever was accepted must pass.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "coppice/engine/io/limits.h"
#include "coppice/engine/io/named_tensors.h"

/// One input. Called by libFuzzer or by the replay of the saved inputs; anything but a return is a finding.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace coppice::fuzz {

/// Limits that no ordinary small file meets and that end a greedy one within milliseconds.
[[nodiscard]] ReadOptions tight();

/// A path at which `input` can be read; the bytes stand in memory. Valid until the next call.
[[nodiscard]] const std::filesystem::path& file_of(std::span<const std::uint8_t> input);

/// A path for a file that a target writes, in memory where the system has such a folder.
[[nodiscard]] std::filesystem::path scratch(std::string_view name);

/// Runs `load`; false when it refused as a reader may: FormatError, LimitError or NotSupported, with a message that
/// opens with the operation. Every other exception is a finding.
[[nodiscard]] bool loads(const std::function<void()>& load);

/// Ends the process with `what` unless `holds`.
void require(bool holds, std::string_view what);

/// Whether the tensors are few enough bytes to be written and read again for every input.
[[nodiscard]] bool small(const NamedTensors& tensors);

/// Same names in the same order, types, shapes, bytes and, if asked for, metadata.
void require_same(const NamedTensors& a, const NamedTensors& b, bool metadata = false);

}  // namespace coppice::fuzz
