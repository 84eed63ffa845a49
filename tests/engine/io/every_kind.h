#pragma once
/// One tensor of every element type and kind of shape, with the values that conversions lose: infinities, NaN with a
/// payload, -0, subnormals, extremes.

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "coppice/engine/io/named_tensors.h"

namespace coppice::test {

inline NamedTensors every_kind(bool with_bfloat16 = true) {
  NamedTensors out;
  const auto add = [&out]<class T>(const char* name, std::vector<T> values, const Shape& shape) {
    Tensor t = Tensor::empty(shape, dtype_of<T>);
    auto data = t.mutable_data<T>();
    for (std::size_t i = 0; i < values.size(); ++i) data[i] = values[i];
    out.add(name, t);
  };
  const auto half = [](std::uint16_t bits) {
    Half h;
    h.bits = bits;
    return h;
  };
  const auto bfloat = [](std::uint16_t bits) {
    BFloat16 b;
    b.bits = bits;
    return b;
  };
  add("f32", std::vector<float>{0.1f, -0.0f, INFINITY, std::bit_cast<float>(0x7FC12345u), 1e-45f, -1e38f}, Shape{2, 3});
  add("f64", std::vector<double>{0.1, -INFINITY, 5e-324}, Shape{3, 1});
  add("f16", std::vector<Half>{half(0x0001), half(0x7E55), half(0xFBFF)}, Shape{3});
  if (with_bfloat16) add("bf16", std::vector<BFloat16>{bfloat(0x0001), bfloat(0x7FC5), bfloat(0xFF7F)}, Shape{1, 3});
  add("i8", std::vector<std::int8_t>{-128, 0, 127}, Shape{3});
  add("u8", std::vector<std::uint8_t>{0, 255}, Shape{2});
  add("i16", std::vector<std::int16_t>{-32768, 32767}, Shape{1, 2, 1});
  add("i32", std::vector<std::int32_t>{INT32_MIN, INT32_MAX}, Shape{2});
  add("i64", std::vector<std::int64_t>{INT64_MIN, INT64_MAX}, Shape{2});
  add("gr\u00f6\u00dfe", std::vector<float>{1}, Shape{1});
  add("scalar", std::vector<double>{2.5}, Shape{});
  add("empty", std::vector<float>{}, Shape{2, 0, 3});
  Tensor flags = Tensor::empty({5}, Dtype::boolean);
  for (std::int64_t i = 0; i < 5; ++i) flags.set_({i}, i % 2 == 0 ? 1 : 0);
  out.add("a.bool", flags);
  return out;
}

}  // namespace coppice::test
