#pragma once
/// The header of .npy and what follows it.

#include <memory>
#include <string>
#include <string_view>

#include "coppice/engine/io/budget.h"
#include "coppice/engine/storage.h"
#include "coppice/engine/tensor.h"

namespace coppice {

/// The array in `block`, all of whose bytes belong to it.
/// @param name  of the array, for messages
/// @param base  position of the block in the file, for messages
/// @param foreign  given, it gets what an array of a type is that this library does not read, and the result is
///                 undefined then; what stands behind the header of such an array is not looked at
/// @throws as read_npy
[[nodiscard]] Tensor npy_tensor(const Source& source, std::string_view name, const std::shared_ptr<Storage>& block,
                                std::uint64_t base, const ReadOptions& options, MemoryBudget& budget,
                                std::string* foreign = nullptr);

/// Magic, version and header for `tensor`, a multiple of 64 bytes. @throws DtypeError  for bfloat16
[[nodiscard]] std::string npy_header(const Tensor& tensor, const char* op);

}  // namespace coppice
