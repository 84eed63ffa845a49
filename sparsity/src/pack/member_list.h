#pragma once
// The metadata that names the tensors of a checkpoint that are stored as sparse members. Private to sparsity.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "coppice/engine/checked.h"
#include "coppice/engine/io/limits.h"

namespace coppice::sparsity {

/// Layouts: 1 keeps shape, bits and signs of a tensor in members of their own; 2 keeps the shape in the list, and bits
/// and signs in one member.
inline constexpr std::uint64_t kOldestLayout = 1, kNewestLayout = 2;

struct ListedTensor {
  std::string name;
  std::optional<std::vector<std::uint64_t>> sizes;  ///< from layout 2 on
};

/// What the metadata lists, in order.
/// @throws FormatError  unless it is a list of names, each once, or an object with "layout" and "shapes"; LimitError
[[nodiscard]] std::vector<ListedTensor> read_member_list(const std::string& text, const Source& source,
                                                         const Limits& limits);

/// The text for tensors of layout 2, all of which have sizes.
[[nodiscard]] std::string member_list_text(const std::vector<ListedTensor>& tensors);

}  // namespace coppice::sparsity
