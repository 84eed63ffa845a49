#pragma once
/// Numbers of eight bits as float32.

#include <array>
#include <cstdint>
#include <string_view>

namespace coppice {

/// The value of each of the 256 bytes.
using Float8Values = std::array<float, 256>;

/// Of an element type of safetensors, "F8_E4M3" for one; nullptr for a type that is none of its five of eight bits.
/// float32 holds every number exactly; what is none becomes NaN.
[[nodiscard]] const Float8Values* float8_values(std::string_view type);

}  // namespace coppice
