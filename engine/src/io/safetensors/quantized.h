#pragma once
/// Quantised tensors in safetensors: the integers under the tensor's name, scales and zero points as members of their
/// own, and a note in the metadata. docs/files.md shows it.

#include <string_view>

#include "coppice/engine/checked.h"
#include "coppice/engine/io/named_tensors.h"

namespace coppice {

/// Metadata key of the note of a tensor, before its name: "qint8 per_tensor_affine", "qint8 per_channel_affine 0".
inline constexpr std::string_view kQuantizedKey = "coppice.quantized:";
inline constexpr std::string_view kScaleSuffix = ".q_scale";           ///< float64 [1] or [channels]
inline constexpr std::string_view kZeroPointSuffix = ".q_zero_point";  ///< int64, or float32, of that shape

/// Whether a tensor is quantised.
[[nodiscard]] bool any_quantized(const NamedTensors& tensors);

/// The same with plain integers and members in the place of quantised tensors. @throws KeyError  if a member's name is
/// taken
[[nodiscard]] NamedTensors with_quantized_parts(const NamedTensors& tensors);

/// Puts quantised tensors together again and takes their notes out of the metadata.
/// @throws FormatError  for a note without sound members: scales that are not finite and above 0, zero points outside
///         the type, another number of channels, an axis that is none
void join_quantized(NamedTensors& tensors, const Source& source);

}  // namespace coppice
