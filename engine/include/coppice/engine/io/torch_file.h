#pragma once
/// PyTorch's .pt and .pth files: state dicts and checkpoints of tensors.

#include <filesystem>

#include "coppice/engine/io/limits.h"
#include "coppice/engine/io/named_tensors.h"

namespace coppice {

/// All tensors of a file that torch.save wrote in any of its formats (zip, legacy, the tar of before 0.1.10; pickles of
/// protocols 0 to 5) or of a TorchScript archive, in the order of the file.
///
/// A state dict gives its own names. Tensors in nested dicts, lists and tuples get dotted paths ("model.0.weight",
/// "optimizer.state.0.exp_avg"); a file that holds one bare tensor gives it the name of the file without extension.
/// Tensors of modules and other objects have the paths of their attributes; those of a module, of its state dict.
/// Values of stored members are shown in the mapped file; transposed, expanded and other strided views are copied
/// row-major. Tensors that share a storage in the file share it here too. requires_grad is not restored.
///
/// The pickle is read symbolically: nothing in it is ever looked up or called. Whatever is no tensor is left out and
/// listed in skipped(): numbers and texts by their path, objects and functions as "path: module.name", and so are
/// sparse, quantized, complex and meta tensors and those of types that this library has not. What holds no tensor is
/// one line.
/// @throws IoError, FormatError, LimitError; with ReadOptions::strict FormatError for objects and code, and
///         NotSupported for tensors that would be left out
[[nodiscard]] NamedTensors read_torch(const std::filesystem::path& path, const ReadOptions& options = {});

/// A state dict that torch.load reads, also with weights_only. Atomic; tensors of one type whose bytes overlap are
/// written as one storage, and so stay tied. Metadata is not written.
/// @throws IoError; ValueError for names that are no UTF-8
void write_torch(const std::filesystem::path& path, const NamedTensors& tensors);

}  // namespace coppice
