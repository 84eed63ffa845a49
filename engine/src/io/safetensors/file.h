#pragma once
/// The tensors of a safetensors file that is open already.

#include <memory>

#include "coppice/engine/checked.h"
#include "coppice/engine/io/mapped_file.h"
#include "coppice/engine/io/named_tensors.h"

namespace coppice {

/// As read_safetensors. @param source  what messages call the file
[[nodiscard]] NamedTensors safetensors_in(const std::shared_ptr<MappedFile>& file, const Source& source,
                                          const ReadOptions& options);

}  // namespace coppice
