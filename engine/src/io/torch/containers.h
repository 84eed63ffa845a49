#pragma once
/// The containers in which torch.save has put pickles and storages.

#include <memory>
#include <string>

#include "coppice/engine/io/limits.h"
#include "coppice/engine/io/mapped_file.h"
#include "coppice/engine/io/named_tensors.h"

namespace coppice {

/// Since PyTorch 1.6: a zip archive. TorchScript's archives too.
/// @param stem  the name of a bare tensor
[[nodiscard]] NamedTensors read_torch_zip(const std::shared_ptr<MappedFile>& file, const Source& source,
                                          const ReadOptions& options, const std::string& stem);
/// Since 0.1.10: pickles and storages one after the other.
[[nodiscard]] NamedTensors read_torch_legacy(const std::shared_ptr<MappedFile>& file, const Source& source,
                                             const ReadOptions& options, const std::string& stem);
/// Before: a tar archive.
[[nodiscard]] NamedTensors read_torch_tar(const std::shared_ptr<MappedFile>& file, const Source& source,
                                          const ReadOptions& options, const std::string& stem);

}  // namespace coppice
