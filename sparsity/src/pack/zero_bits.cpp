#include "pack/zero_bits.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace coppice::sparsity {
namespace {

using u8 = std::uint8_t;

/// Calls f<Word>(sign bit) with the unsigned integer that has the size of an element; 0 for types without a -0.
template <class F>
void with_words(Dtype dtype, F f) {
  const bool floating = is_floating(dtype);
  switch (itemsize(dtype)) {
    case 1: return f(u8{}, u8{0});
    case 2: return f(std::uint16_t{}, static_cast<std::uint16_t>(floating ? 1u << 15 : 0));
    case 4: return f(std::uint32_t{}, floating ? 1u << 31 : 0u);
    default: return f(std::uint64_t{}, floating ? std::uint64_t{1} << 63 : std::uint64_t{0});
  }
}

template <class Word>
Word word_at(const std::byte* bytes, std::int64_t i) {
  Word out;
  std::memcpy(&out, bytes + i * static_cast<std::int64_t>(sizeof(Word)), sizeof(Word));
  return out;
}

/// Appends bits to bytes, lowest first.
class BitWriter {
 public:
  explicit BitWriter(u8* to) : to_(to) {}
  void put(bool bit) {
    byte_ = static_cast<u8>(byte_ | bit << at_);
    if (++at_ == 8) flush();
  }
  /// Writes what is left of the last byte.
  void finish() {
    if (at_ > 0) flush();
  }

 private:
  void flush() {
    *to_++ = byte_;
    byte_ = 0, at_ = 0;
  }
  u8* to_;
  u8 byte_ = 0;
  int at_ = 0;
};

}  // namespace

ZeroCounts count_zeros(const Tensor& t) {
  ZeroCounts out;
  const std::byte* const bytes = t.bytes();
  const std::int64_t n = t.numel();
  with_words(t.dtype(), [&](auto kind, auto sign) {
    using Word = decltype(kind);
    Word one = 0, other = 0;  // bits in which the elements that are no zeros are set, and in which they differ
    bool first = true;
    for (std::int64_t i = 0; i < n; ++i) {
      const auto word = word_at<Word>(bytes, i);
      const bool zero = (word & static_cast<Word>(~sign)) == 0;
      out.zeros += zero;
      out.negative += zero && word != 0;
      if (zero) continue;
      if (first) one = word, first = false;
      other = static_cast<Word>(other | (word ^ one));
    }
    out.constant = n - out.zeros > 1 && other == 0;
  });
  return out;
}

void split_zeros(const Tensor& t, Tensor& mask, Tensor& values, Tensor& signs) {
  const std::byte* const bytes = t.bytes();
  BitWriter bits(mask.mutable_data<u8>().data()), minus(signs.mutable_data<u8>().data());
  std::byte* const to = values.mutable_bytes();
  const std::int64_t room = values.numel();
  const bool with_signs = signs.numel() > 0;
  with_words(t.dtype(), [&](auto kind, auto sign) {
    using Word = decltype(kind);
    std::int64_t at = 0;
    for (std::int64_t i = 0, n = t.numel(); i < n; ++i) {
      const auto word = word_at<Word>(bytes, i);
      const bool zero = (word & static_cast<Word>(~sign)) == 0;
      bits.put(!zero);
      if (zero) {
        if (with_signs) minus.put(word != 0);
      } else if (at < room) {
        std::memcpy(to + at++ * static_cast<std::int64_t>(sizeof(Word)), &word, sizeof(Word));
      }
    }
  });
  bits.finish();
  minus.finish();
}

void join_zeros(const ZeroPlaces& places, const Tensor& values, Tensor& out) {
  const std::byte* const from = values.bytes();
  const bool constant = values.numel() == 1;
  std::byte* const to = out.mutable_bytes();
  with_words(out.dtype(), [&](auto kind, auto sign) {
    using Word = decltype(kind);
    std::int64_t at = 0, zero = 0;
    std::size_t next = 0;
    u8 byte = 0;  // of the bitmask
    for (std::int64_t i = 0, n = out.numel(); i < n; ++i) {
      if (i % 8 == 0) byte = places.present.empty() || bit_at(places.present, i / 8) ? places.bits[next++] : u8{0};
      Word word = 0;
      if (byte >> (i % 8) & 1) {
        word = word_at<Word>(from, constant ? 0 : at++);
      } else {
        if (!places.signs.empty() && bit_at(places.signs, zero)) word = sign;
        ++zero;
      }
      std::memcpy(to + i * static_cast<std::int64_t>(sizeof(Word)), &word, sizeof(Word));
    }
  });
}

std::int64_t count_bits(std::span<const u8> bytes) {
  std::int64_t sum = 0;
  for (const u8 byte : bytes) sum += std::popcount(byte);
  return sum;
}

}  // namespace coppice::sparsity
