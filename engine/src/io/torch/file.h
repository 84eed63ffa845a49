#pragma once
/// The tensors of a PyTorch file that is open already.

#include <memory>
#include <string>

#include "coppice/engine/checked.h"
#include "coppice/engine/io/mapped_file.h"
#include "coppice/engine/io/named_tensors.h"

namespace coppice {

/// As read_torch. @param source  what messages call the file
/// @param stem  the name of a bare tensor
[[nodiscard]] NamedTensors torch_in(const std::shared_ptr<MappedFile>& file, const Source& source,
                                    const ReadOptions& options, const std::string& stem);

}  // namespace coppice
