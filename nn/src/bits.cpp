#include "coppice/nn/bits.h"

#include "coppice/engine/create.h"

namespace coppice::nn {

bool is_binary(const Tensor& mask) {
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
  const auto from = keep.data<bool>();
  const auto to = bits.mutable_data<std::uint8_t>();
  for (std::size_t i = 0; i < from.size(); ++i)
    if (from[i]) to[i / 8] = static_cast<std::uint8_t>(to[i / 8] | (1u << (i % 8)));
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
