#pragma once
/// Integer products and quantisation, one table per level and unit (integer_unit.h). Sums are exact: they are taken
/// modulo 2^32, and so right wherever the true sum fits into 32 bits, which k <= 33025 guarantees. Every table gives
/// the same integers and the same floats.

#include <cstdint>

namespace coppice::kernels {

/// Outputs of a panel of packed weights. Arrays over outputs are as long as whole panels.
inline constexpr std::int64_t kPanel = 32;

/// From the sum acc = sum_k (xq - zx) (wq - zw[j]) to what is written. fl is rounding to float, rne to the nearest
/// integer, halves to even; clamp is to low..high. A NaN is written as `low`.
enum class Int8Rule : std::uint8_t {
  sums,     ///< int32: acc
  fused,    ///< float: fma(float(acc), fl(input_scale * scale[j]), term[j])
  rounded,  ///< float: fl(fl(float(acc) * fl(input_scale * scale[j])) + term[j])
  fbgemm,   ///< byte: clamp(rne(fl(fl(float(acc) + term[j]) * scale[j])) + output_zero)
  onednn,   ///< byte: clamp(rne(fl(fl(fl(float(acc) + term[j]) * scale[j]) + output_zero)))
  qnnpack,  ///< byte: clamp(rne(fl(float(saturate(acc + bias[j])) * scale[j])) + output_zero)
};

/// What is written of a product, and how. Arrays over outputs j hold whole panels.
struct Int8Out {
  Int8Rule rule = Int8Rule::sums;
  std::int32_t input_zero = 0;             // zx
  const std::int32_t* columns = nullptr;   // [j] sum_k (wq[j][k] - zw[j])
  const std::int32_t* zeros = nullptr;     // [j] zw; null: all are 0
  const std::int32_t* row_sums = nullptr;  // [m] sum_k xq; read when there are zeros
  float input_scale = 1;                   // of fused and rounded
  const float* scale = nullptr;            // [j] all rules but sums
  const float* term = nullptr;             // [j] all rules but sums and qnnpack
  const std::int32_t* bias = nullptr;      // [j] qnnpack
  std::int32_t output_zero = 0, low = 0, high = 255;
  bool relu = false;  // fused and rounded: negative results become 0. Bytes: set low to output_zero
  void* y = nullptr;  // [m][y_stride] of the type that the rule names
  std::int64_t y_stride = 0;
};

/// y = x W^T: x is [m][x_stride] unsigned bytes, whose rows can be read up to k rounded up to 4 (what stands there does
/// not matter); weights are panels [n / kPanel][k / 4][kPanel][4], padded with 0.
struct Int8Dense {
  std::int64_t m = 0, n = 0, k = 0;
  const std::uint8_t* x = nullptr;
  std::int64_t x_stride = 0;
  const std::int8_t* panels = nullptr;
  Int8Out out;
};

/// Block-sparse weights: groups of `height` outputs, each a run of blocks of four neighbouring inputs.
struct Int8Blocks {
  std::int64_t rows = 0;                    // outputs
  std::int64_t height = 1;                  // 1, 4, 8 or 16
  const std::int32_t* offsets = nullptr;    // [groups + 1], into columns
  const std::int16_t* columns16 = nullptr;  // one of the two: which four inputs, input / 4
  const std::int32_t* columns32 = nullptr;
  const std::int8_t* values =
      nullptr;  // [blocks][height][4]; 0 where the last group has no row, or four inputs no input
};

/// The same weights as lists of tiles, for units that have them: groups of 16 outputs, each a run of tiles of 16 times
/// four inputs, so that inputs which some of the outputs have are stored for all.
struct Int8Tiles {
  const std::int32_t* offsets = nullptr;  // [groups + 1], into tiles
  const std::int32_t* columns = nullptr;  // [tiles][16] which four inputs, input / 4; any where weights are 0
  const std::int8_t* values = nullptr;    // [tiles][16 outputs][16 times four inputs], on a cache line
};

/// Byte = clamp(rne(fma(x, inverse, zero))), or clamp(rne(fl(fl(x * inverse) + zero))) when not `fused`. NaN gives
/// zero.
struct Int8Scale {
  float inverse = 1;
  std::int32_t zero = 0;
  bool is_signed = false;  // limits -128..127, else 0..255
  bool fused = true;
};

struct FloatRange {
  float min, max;
};

struct Int8Kernels {
  /// Outputs of panels begin .. end.
  void (*dense)(const Int8Dense& p, std::int64_t panel_begin, std::int64_t panel_end);

  /// y = W x for m samples x: [m][x_stride], as of Int8Dense, for outputs begin .. end, multiples of kPanel (or the
  /// last).
  void (*rows)(const Int8Blocks& w, std::int64_t m, const std::uint8_t* x, std::int64_t x_stride, const Int8Out& out,
               std::int64_t begin, std::int64_t end);

  /// The same for samples side by side: x is [inputs / 4][samples][4], `samples` a multiple of 16 and at least m.
  void (*samples)(const Int8Blocks& w, std::int64_t m, const std::uint8_t* x, std::int64_t samples, const Int8Out& out,
                  std::int64_t begin, std::int64_t end);

  /// The same of tiles, with `samples` a multiple of 64 when m > 32, of 32 when m > 16. Null: the unit has no tiles.
  void (*tiles)(const Int8Tiles& w, std::int64_t m, const std::uint8_t* x, std::int64_t samples, const Int8Out& out,
                std::int64_t begin, std::int64_t end);

  void (*quantize)(const float* x, std::int64_t n, const Int8Scale& scale, std::uint8_t* q);
  /// fl(scale * float(q - zero))
  void (*dequantize)(const std::uint8_t* q, std::int64_t n, float scale, std::int32_t zero, bool is_signed, float* x);
  /// fl(scale * (q - zero)), the product in double
  void (*dequantize_wide)(const std::uint8_t* q, std::int64_t n, double scale, std::int32_t zero, bool is_signed,
                          float* x);
  /// Smallest and largest number, NaN passed over; {inf, -inf} when there is none.
  FloatRange (*range)(const float* x, std::int64_t n);
  /// out[c * out_stride + r] = in[r * in_stride + c], bytes
  void (*transpose)(const std::uint8_t* in, std::int64_t rows, std::int64_t cols, std::int64_t in_stride,
                    std::uint8_t* out, std::int64_t out_stride);
  /// out[r] = sum of the first k bytes of row r
  void (*row_sums)(const std::uint8_t* x, std::int64_t m, std::int64_t k, std::int64_t x_stride, std::int32_t* out);
};

/// Those of the best row of this build that cpu_level() and integer_unit() allow.
[[nodiscard]] const Int8Kernels& int8_in_use();

}  // namespace coppice::kernels
