#pragma once
/// Which name somebody meant.

#include "coppice/engine/cxx20.h"

#include <cstddef>
#include <span>
#include <string_view>

namespace coppice {

/// Letters to insert, drop, replace or swap with a neighbour until `a` is `b`; more than `most` counts as most + 1.
/// Cost: the product of the lengths, and nothing for names whose lengths alone differ by more than `most`.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b, std::size_t most);

/// The candidate that is most like `name`, the first of equal ones; empty if none is like it: one letter in `letters`
/// of the longer of the two names may be wrong. Names of more than 64 bytes are like no other.
[[nodiscard]] std::string_view nearest_name(std::string_view name, std::span<const std::string_view> candidates,
                                            std::size_t letters = 2);

}  // namespace coppice
