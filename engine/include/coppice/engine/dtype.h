#pragma once
/// Element types, their conversions, and the step from a type known at run time to a template argument.

#include "coppice/engine/cxx20.h"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

namespace coppice {

/// The quantised types hold integers that stand for real numbers through the tensor's QParams (qparams.h).
enum class Dtype : std::uint8_t {
  f32,
  f64,
  f16,
  bf16,
  i8,
  u8,
  i16,
  i32,
  i64,
  boolean,
  qint8,     ///< int8 with scale and zero point
  quint8,    ///< uint8 with scale and zero point
  qint32,    ///< int32 with scale and zero point
  quint4x2,  ///< two values of 0..15 to a byte, the first in the low half
};

/// IEEE binary16. A storage type: arithmetic happens in float.
struct Half {
  std::uint16_t bits = 0;
  Half() = default;
  explicit Half(float value);  ///< rounds to nearest even, overflow to infinity, NaN stays NaN
  explicit operator float() const;
};

/// The upper half of a float. A storage type: arithmetic happens in float.
struct BFloat16 {
  std::uint16_t bits = 0;
  BFloat16() = default;
  explicit BFloat16(float value);  ///< rounds to nearest even, NaN stays NaN
  explicit operator float() const { return std::bit_cast<float>(std::uint32_t{bits} << 16); }
};

/// Bytes of one element: 1, 2, 4 or 8. Of quint4x2 the 1 that two elements share.
[[nodiscard]] std::size_t itemsize(Dtype dtype);
[[nodiscard]] bool is_floating(Dtype dtype);
/// qint8, quint8, qint32 or quint4x2.
[[nodiscard]] bool is_quantized(Dtype dtype);
/// The plain type of the integers of a quantised one, for quint4x2 that of its bytes; other types are their own.
[[nodiscard]] Dtype stored_dtype(Dtype dtype);
/// PyTorch's word: "float32", "bfloat16", "bool" …
[[nodiscard]] std::string_view name_of(Dtype dtype);
[[nodiscard]] std::string to_string(Dtype dtype);
std::ostream& operator<<(std::ostream& out, Dtype dtype);
/// The reverse of name_of(); nothing when the word is unknown.
[[nodiscard]] std::optional<Dtype> dtype_from_name(std::string_view name);
/// The type of a result of two operands, as torch.promote_types.
/// @throws DtypeError  if one is quantised and the other is another type
[[nodiscard]] Dtype promote(Dtype a, Dtype b);

template <class T>
struct DtypeOf;
template <>
struct DtypeOf<float> {
  static constexpr Dtype value = Dtype::f32;
};
template <>
struct DtypeOf<double> {
  static constexpr Dtype value = Dtype::f64;
};
template <>
struct DtypeOf<Half> {
  static constexpr Dtype value = Dtype::f16;
};
template <>
struct DtypeOf<BFloat16> {
  static constexpr Dtype value = Dtype::bf16;
};
template <>
struct DtypeOf<std::int8_t> {
  static constexpr Dtype value = Dtype::i8;
};
template <>
struct DtypeOf<std::uint8_t> {
  static constexpr Dtype value = Dtype::u8;
};
template <>
struct DtypeOf<std::int16_t> {
  static constexpr Dtype value = Dtype::i16;
};
template <>
struct DtypeOf<std::int32_t> {
  static constexpr Dtype value = Dtype::i32;
};
template <>
struct DtypeOf<std::int64_t> {
  static constexpr Dtype value = Dtype::i64;
};
template <>
struct DtypeOf<bool> {
  static constexpr Dtype value = Dtype::boolean;
};

template <class T>
inline constexpr Dtype dtype_of = DtypeOf<std::remove_cv_t<T>>::value;

namespace detail {
/// Says that the running operation, or `otherwise` outside of one, does not take tensors of a quantised type.
/// @throws DtypeError  always
[[noreturn]] void refuse_quantized(Dtype dtype, std::string_view otherwise = "Tensor");
}  // namespace detail

/// Calls `f.template operator()<T>()` with the C++ type of `dtype`.
/// @throws DtypeError  for a quantised type, whose integers are not its values; it names the operation that runs
template <class F>
decltype(auto) dispatch(Dtype dtype, F&& f) {
  switch (dtype) {
    case Dtype::f64: return f.template operator()<double>();
    case Dtype::f16: return f.template operator()<Half>();
    case Dtype::bf16: return f.template operator()<BFloat16>();
    case Dtype::i8: return f.template operator()<std::int8_t>();
    case Dtype::u8: return f.template operator()<std::uint8_t>();
    case Dtype::i16: return f.template operator()<std::int16_t>();
    case Dtype::i32: return f.template operator()<std::int32_t>();
    case Dtype::i64: return f.template operator()<std::int64_t>();
    case Dtype::boolean: return f.template operator()<bool>();
    case Dtype::f32: return f.template operator()<float>();
    case Dtype::qint8:
    case Dtype::quint8:
    case Dtype::qint32:
    case Dtype::quint4x2: break;
  }
  detail::refuse_quantized(dtype);
}

namespace detail {

/// A float cut off to an integer; its smallest number for NaN and for what it does not hold, as x86 instructions do.
template <class Integer, class Float>
[[nodiscard]] constexpr Integer truncate(Float value) {
  constexpr Float end = -static_cast<Float>(std::numeric_limits<Integer>::min());  // a power of two: exact
  // The numbers between min - 1 and min truncate to min as well, which is what the others become.
  return value >= -end && value < end ? static_cast<Integer>(value) : std::numeric_limits<Integer>::min();
}

}  // namespace detail

/// One element as another type: floats round to nearest even, to integers they truncate, to bool "is not zero".
///
/// A float that an integer type does not hold, infinities and NaN among them, becomes what PyTorch makes of it on
/// x86: int32 and int64 take their smallest number; int8 and int16 keep the lowest bits of the conversion to int32,
/// uint8 those of the conversion to int64. Integers that do not fit keep their lowest bits.
template <class To, class From>
[[nodiscard]] To convert(From value) {
  if constexpr (std::is_same_v<To, From>)
    return value;
  else if constexpr (std::is_same_v<From, Half> || std::is_same_v<From, BFloat16>)
    return convert<To>(static_cast<float>(value));
  else if constexpr (std::is_same_v<To, Half> || std::is_same_v<To, BFloat16>)
    return To(static_cast<float>(value));
  else if constexpr (std::is_same_v<To, bool>)
    return value != From{};
  else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    using Wide = std::conditional_t<std::is_same_v<To, std::uint8_t> || sizeof(To) == 8, std::int64_t, std::int32_t>;
    return static_cast<To>(detail::truncate<Wide>(value));
  } else
    return static_cast<To>(value);
}

}  // namespace coppice
