#pragma once
/// The header of .npy and what follows it.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
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

/// Bytes of a .npy that hold its header, for arrays of every type and shape that are read or left out.
inline constexpr std::size_t kNpyBeginning = 12 + 10'000;

/// What an array of a type is that this library does not read, "" if it does.
/// @param beginning  the first kNpyBeginning bytes of the array's, or all
/// @param size  bytes of all
/// @param base  position of them in the file, for messages
[[nodiscard]] std::string foreign_array(const Source& source, std::span<const std::byte> beginning, std::uint64_t size,
                                        std::uint64_t base, const ReadOptions& options);

/// Magic, version and header for `tensor`, a multiple of 64 bytes. @throws DtypeError  for bfloat16
[[nodiscard]] std::string npy_header(const Tensor& tensor, const char* op);

}  // namespace coppice
