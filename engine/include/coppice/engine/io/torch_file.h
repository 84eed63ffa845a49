#pragma once
/// PyTorch's .pt and .pth files: state dicts and checkpoints of tensors.

#include <filesystem>

#include "coppice/engine/io/limits.h"
#include "coppice/engine/io/named_tensors.h"

namespace coppice {

/// All tensors of a file that torch.save wrote, zip or legacy format, in the order of the file.
///
/// A state dict gives its own names. Tensors in nested dicts, lists and tuples get dotted paths ("model.0.weight",
/// "optimizer.state.0.exp_avg"); a file that holds one bare tensor gives it the name of the file without extension.
/// Whatever is no tensor is listed in skipped(). Values of stored members are shown in the mapped file; transposed,
/// expanded and other strided views are copied row-major. Tensors that share a storage in the file share it here too.
/// requires_grad is not restored.
///
/// The pickle is read symbolically: nothing in it is ever looked up or called, and anything but the constructions of
/// a state dict is refused.
/// @throws IoError, FormatError, LimitError; NotSupported for sparse, quantized and complex tensors and for element
///         types that this library has not, naming the tensor
[[nodiscard]] NamedTensors read_torch(const std::filesystem::path& path, const ReadOptions& options = {});

/// A state dict that torch.load reads, also with weights_only. Atomic; tensors that show the same bytes with the same
/// size stay tied. Metadata is not written.
/// @throws IoError; ValueError for names that are no UTF-8
void write_torch(const std::filesystem::path& path, const NamedTensors& tensors);

}  // namespace coppice
