#include "coppice/nn/bits.h"

#include <algorithm>
#include <array>

#include "coppice/engine/create.h"
#include "coppice/engine/parallel.h"

namespace coppice::nn {
namespace {

constexpr std::int64_t kBytesPerTask = 1 << 15;

}  // namespace

bool is_binary(const Tensor& mask) {
  if (mask.dtype() == Dtype::boolean) return true;
  return dispatch(mask.dtype(), [&]<class T>() {
    for (const T v : mask.data<T>())
      if (convert<double>(v) != 0 && convert<double>(v) != 1) return false;
    return true;
  });
}

Tensor pack_bits(const Tensor& mask) {
  if (!is_binary(mask)) throw ValueError("[pack_bits] a mask entry is neither 0 nor 1");
  Tensor bits = zeros({(mask.numel() + 7) / 8}, Dtype::u8);
  const Tensor keep = mask.to(Dtype::boolean);
  const auto* const from = reinterpret_cast<const std::uint8_t*>(keep.bytes());
  std::uint8_t* const to = bits.mutable_data<std::uint8_t>().data();
  const std::int64_t n = keep.numel();
  parallel_for(bits.numel(), kBytesPerTask, [=](Rows rows) {
    for (std::int64_t byte = rows.begin; byte < rows.end; ++byte) {
      std::array<std::uint8_t, 8> flags{};
      std::copy_n(from + 8 * byte, std::min<std::int64_t>(8, n - 8 * byte), flags.begin());
      to[byte] = byte_of_flags(flags.data());
    }
  });
  return bits;
}

Tensor unpack_bits(const Tensor& bits, const Shape& shape, Dtype dtype) {
  const std::int64_t n = shape.numel();
  if (bits.dtype() != Dtype::u8 || bits.shape() != Shape{(n + 7) / 8})
    throw FormatError(cat("[unpack_bits] a mask of shape ", shape, " needs uint8 ", Shape{(n + 7) / 8}, "; got ",
                          bits.dtype(), " ", bits.shape()));
  const auto from = bits.data<std::uint8_t>();
  if (n % 8 != 0 && from.back() >> (n % 8) != 0)
    throw FormatError(cat("[unpack_bits] a bit beyond the last of ", n, " mask entries is set"));
  Tensor mask = Tensor::empty(shape, Dtype::boolean);
  const auto to = mask.mutable_data<bool>();
  for (std::size_t i = 0; i < to.size(); ++i) to[i] = (from[i / 8] >> (i % 8) & 1) != 0;
  return mask.to(dtype);
}

}  // namespace coppice::nn
