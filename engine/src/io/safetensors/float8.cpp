#include "io/safetensors/float8.h"

#include <cmath>
#include <limits>
#include <utility>

// Source: c10/util/Float8_*.h of PyTorch; the OCP specifications "8-bit floating point" and "microscaling formats", and
// Noune et al., "8-bit numerical formats for deep neural networks", for the types without a negative zero (FNUZ).
namespace coppice {
namespace {

enum class Special : std::uint8_t {
  ieee,        // the largest exponent is infinity and NaN
  all_ones,    // NaN is the exponent and mantissa of ones; there is no infinity
  minus_zero,  // NaN is the byte that would be -0; there is no infinity
};

struct Format {
  int mantissa;  // bits
  int bias;
  Special special;
};

bool is_nan(const Format& format, unsigned magnitude, bool negative) {
  const unsigned infinity = 0x7Fu >> format.mantissa << format.mantissa;
  switch (format.special) {
    case Special::ieee: return magnitude > infinity;
    case Special::all_ones: return magnitude == 0x7F;
    case Special::minus_zero: break;
  }
  return negative && magnitude == 0;
}

float value_of(const Format& format, unsigned byte) {
  const unsigned magnitude = byte & 0x7F;
  if (is_nan(format, magnitude, byte > 0x7F)) return std::numeric_limits<float>::quiet_NaN();
  const float sign = byte > 0x7F ? -1.0F : 1.0F;
  const unsigned exponent = magnitude >> format.mantissa;
  const unsigned fraction = magnitude & ((1U << format.mantissa) - 1);
  if (format.special == Special::ieee && exponent == 0x7FU >> format.mantissa)
    return sign * std::numeric_limits<float>::infinity();
  const unsigned whole = exponent == 0 ? fraction : fraction | 1U << format.mantissa;
  const int power = (exponent == 0 ? 1 : static_cast<int>(exponent)) - format.bias - format.mantissa;
  return sign * std::ldexp(static_cast<float>(whole), power);
}

Float8Values values_of(const Format& format) {
  Float8Values out{};
  for (unsigned byte = 0; byte < out.size(); ++byte) out[byte] = value_of(format, byte);
  return out;
}

/// An exponent alone, without sign: the scale of a block.
Float8Values powers_of_two() {
  Float8Values out{};
  for (int byte = 0; byte < 255; ++byte) out[static_cast<std::size_t>(byte)] = std::ldexp(1.0F, byte - 127);
  out[255] = std::numeric_limits<float>::quiet_NaN();
  return out;
}

}  // namespace

const Float8Values* float8_values(std::string_view type) {
  static const std::pair<std::string_view, Float8Values> kTables[] = {
      {"F8_E4M3", values_of({3, 7, Special::all_ones})},
      {"F8_E5M2", values_of({2, 15, Special::ieee})},
      {"F8_E4M3FNUZ", values_of({3, 8, Special::minus_zero})},
      {"F8_E5M2FNUZ", values_of({2, 16, Special::minus_zero})},
      {"F8_E8M0", powers_of_two()},
  };
  for (const auto& [name, values] : kTables)
    if (name == type) return &values;
  return nullptr;
}

}  // namespace coppice
