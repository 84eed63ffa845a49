#include "coppice/engine/dtype.h"

#include <array>
#include <cmath>
#include <ostream>

#include "coppice/engine/error.h"

namespace coppice {
namespace {

struct Row {
  Dtype dtype;
  std::string_view name;
  std::size_t size;
};

constexpr std::array<Row, 14> kRows{{{Dtype::f32, "float32", 4},
                                     {Dtype::f64, "float64", 8},
                                     {Dtype::f16, "float16", 2},
                                     {Dtype::bf16, "bfloat16", 2},
                                     {Dtype::i8, "int8", 1},
                                     {Dtype::u8, "uint8", 1},
                                     {Dtype::i16, "int16", 2},
                                     {Dtype::i32, "int32", 4},
                                     {Dtype::i64, "int64", 8},
                                     {Dtype::boolean, "bool", 1},
                                     {Dtype::qint8, "qint8", 1},
                                     {Dtype::quint8, "quint8", 1},
                                     {Dtype::qint32, "qint32", 4},
                                     {Dtype::quint4x2, "quint4x2", 1}}};

const Row& row(Dtype dtype) { return kRows[static_cast<std::size_t>(dtype)]; }

}  // namespace

Half::Half(float value) {
  const auto x = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((x >> 16) & 0x8000u);
  const std::uint32_t magnitude = x & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {  // NaN: keep it a quiet one
    bits = static_cast<std::uint16_t>(sign | 0x7e00u);
  } else if (magnitude >= 0x477ff000u) {  // rounds to 2^16 or more: infinity
    bits = static_cast<std::uint16_t>(sign | 0x7c00u);
  } else if (magnitude < 0x38800000u) {  // subnormal in half: let the float unit round at 2^-24
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    bits = static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3f000000u));
  } else {
    const std::uint32_t odd = (magnitude >> 13) & 1u;
    bits = static_cast<std::uint16_t>(sign | ((magnitude - 0x38000000u + 0xfffu + odd) >> 13));
  }
}

Half::operator float() const {
  const std::uint32_t sign = std::uint32_t{bits & 0x8000u} << 16;
  const std::uint32_t exponent = (bits >> 10) & 0x1fu;
  const std::uint32_t mantissa = bits & 0x3ffu;
  if (exponent == 0) {
    const float magnitude = std::ldexp(static_cast<float>(mantissa), -24);
    return sign ? -magnitude : magnitude;
  }
  const std::uint32_t high = exponent == 31 ? 0x7f800000u : (exponent + 112) << 23;
  return std::bit_cast<float>(sign | high | (mantissa << 13));
}

BFloat16::BFloat16(float value) {
  const auto x = std::bit_cast<std::uint32_t>(value);
  if ((x & 0x7fffffffu) > 0x7f800000u)
    bits = static_cast<std::uint16_t>((x >> 16) | 0x40u);
  else
    bits = static_cast<std::uint16_t>((x + 0x7fffu + ((x >> 16) & 1u)) >> 16);
}

std::size_t itemsize(Dtype dtype) { return row(dtype).size; }

bool is_floating(Dtype dtype) {
  return dtype == Dtype::f32 || dtype == Dtype::f64 || dtype == Dtype::f16 || dtype == Dtype::bf16;
}

bool is_quantized(Dtype dtype) { return dtype >= Dtype::qint8; }

Dtype stored_dtype(Dtype dtype) {
  switch (dtype) {
    case Dtype::qint8: return Dtype::i8;
    case Dtype::quint8:
    case Dtype::quint4x2: return Dtype::u8;
    case Dtype::qint32: return Dtype::i32;
    default: return dtype;
  }
}

std::string_view name_of(Dtype dtype) { return row(dtype).name; }
std::string to_string(Dtype dtype) { return std::string(name_of(dtype)); }
std::ostream& operator<<(std::ostream& out, Dtype dtype) { return out << name_of(dtype); }

std::optional<Dtype> dtype_from_name(std::string_view name) {
  for (const Row& r : kRows)
    if (r.name == name) return r.dtype;
  return std::nullopt;
}

Dtype promote(Dtype a, Dtype b) {
  if (a == b) return a;
  if (is_quantized(a) || is_quantized(b)) detail::refuse_quantized(is_quantized(a) ? a : b, "promote");
  if (is_floating(a) && is_floating(b)) {
    if (a == Dtype::f64 || b == Dtype::f64) return Dtype::f64;
    return Dtype::f32;  // f32 with a half type, or the two half types with each other
  }
  if (is_floating(a)) return a;
  if (is_floating(b)) return b;
  if (a == Dtype::boolean) return b;
  if (b == Dtype::boolean) return a;
  // Integers: the wider one; u8 with i8 needs i16.
  if (itemsize(a) == itemsize(b)) return Dtype::i16;
  return itemsize(a) > itemsize(b) ? a : b;
}

}  // namespace coppice
