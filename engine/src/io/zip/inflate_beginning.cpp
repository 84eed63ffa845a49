#include "io/zip/inflate_beginning.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace coppice {
namespace {

constexpr unsigned kLongestCode = 15;
constexpr unsigned kEndOfBlock = 256, kFirstLength = 257;

struct Row {
  std::uint16_t base;
  std::uint8_t extra_bits;
};
constexpr std::array<Row, 29> kLengths{{{3, 0},   {4, 0},   {5, 0},   {6, 0},   {7, 0},  {8, 0},  {9, 0},  {10, 0},
                                        {11, 1},  {13, 1},  {15, 1},  {17, 1},  {19, 2}, {23, 2}, {27, 2}, {31, 2},
                                        {35, 3},  {43, 3},  {51, 3},  {59, 3},  {67, 4}, {83, 4}, {99, 4}, {115, 4},
                                        {131, 5}, {163, 5}, {195, 5}, {227, 5}, {258, 0}}};
constexpr std::array<Row, 30> kDistances{{{1, 0},     {2, 0},     {3, 0},     {4, 0},      {5, 1},      {7, 1},
                                          {9, 2},     {13, 2},    {17, 3},    {25, 3},     {33, 4},     {49, 4},
                                          {65, 5},    {97, 5},    {129, 6},   {193, 6},    {257, 7},    {385, 7},
                                          {513, 8},   {769, 8},   {1025, 9},  {1537, 9},   {2049, 10},  {3073, 10},
                                          {4097, 11}, {6145, 11}, {8193, 12}, {12289, 12}, {16385, 13}, {24577, 13}}};

/// Code words by their lengths: how many there are of each, and their symbols in order.
struct Code {
  std::array<std::uint16_t, kLongestCode + 1> counts{};
  std::vector<std::uint16_t> symbols;
};

class Inflater {
 public:
  Inflater(std::span<const std::byte> in, std::size_t most) : in_(in), most_(most) {}

  /// Whether the data is sound up to the bytes that are wanted.
  bool run() {
    for (bool last = false; !last && out.size() < most_ && !bad_;) {
      last = bits(1) != 0;
      switch (bits(2)) {
        case 0: stored(); break;
        case 1: fixed(); break;
        case 2: dynamic(); break;
        default: bad_ = true;
      }
    }
    return !bad_;
  }
  std::vector<std::byte> out;

 private:
  unsigned bits(unsigned count) {
    unsigned value = 0;
    for (unsigned i = 0; i < count; ++i) {
      if (at_ / 8 >= in_.size()) {
        bad_ = true;
        return 0;
      }
      value |= (std::to_integer<unsigned>(in_[at_ / 8]) >> (at_ % 8) & 1) << i;
      ++at_;
    }
    return value;
  }

  void stored() {
    at_ = (at_ + 7) / 8 * 8;
    const unsigned length = bits(16), inverse = bits(16);
    if (length != (~inverse & 0xFFFF)) bad_ = true;
    if (bad_) return;
    const auto wanted = in_.subspan(at_ / 8, std::min({std::size_t{length}, in_.size() - at_ / 8, most_ - out.size()}));
    out.insert(out.end(), wanted.begin(), wanted.end());
    at_ += 8 * std::uint64_t{length};
    if (out.size() < most_ && at_ / 8 > in_.size()) bad_ = true;
  }

  /// The code of these lengths, 0 where a symbol has none. One with more words than there is room for is damage.
  Code code_of(std::span<const std::uint8_t> lengths) {
    Code code;
    for (const std::uint8_t length : lengths) ++code.counts[length];
    code.counts[0] = 0;
    int left = 1;
    std::array<std::uint16_t, kLongestCode + 2> place{};
    for (unsigned i = 1; i <= kLongestCode; ++i) {
      left = 2 * left - code.counts[i];
      if (left < 0) {
        bad_ = true;
        return code;
      }
      place[i + 1] = static_cast<std::uint16_t>(place[i] + code.counts[i]);
    }
    code.symbols.resize(place[kLongestCode + 1]);
    for (std::size_t s = 0; s < lengths.size(); ++s)
      if (lengths[s] != 0) code.symbols[place[lengths[s]]++] = static_cast<std::uint16_t>(s);
    return code;
  }

  /// The next symbol: words of one length are consecutive numbers, and follow those that are shorter.
  unsigned symbol(const Code& code) {
    unsigned word = 0, first = 0, index = 0;
    for (unsigned length = 1; length <= kLongestCode && !bad_; ++length) {
      word |= bits(1);
      const unsigned count = code.counts[length];
      if (word < first + count) return bad_ ? 0 : code.symbols[index + (word - first)];
      index += count;
      first = (first + count) << 1;
      word <<= 1;
    }
    bad_ = true;
    return 0;
  }

  void fixed() {
    std::array<std::uint8_t, 288> lengths{};
    for (std::size_t i = 0; i < lengths.size(); ++i)
      lengths[i] = static_cast<std::uint8_t>(i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8);
    std::array<std::uint8_t, 30> distances{};
    distances.fill(5);
    const Code literals = code_of(lengths), far = code_of(distances);
    block(literals, far);
  }

  void dynamic() {
    constexpr std::array<std::uint8_t, 19> kOrder{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    const unsigned literals = bits(5) + 257, distances = bits(5) + 1, count = bits(4) + 4;
    std::array<std::uint8_t, 19> own{};
    for (unsigned i = 0; i < count; ++i) own[kOrder[i]] = static_cast<std::uint8_t>(bits(3));
    const Code code = code_of(own);
    std::vector<std::uint8_t> lengths;
    while (lengths.size() < literals + distances && !bad_) {
      const unsigned s = symbol(code);
      if (s < 16) {
        lengths.push_back(static_cast<std::uint8_t>(s));
        continue;
      }
      if (s == 16 && lengths.empty()) bad_ = true;
      const std::uint8_t value = s == 16 && !bad_ ? lengths.back() : std::uint8_t{0};
      const unsigned times = s == 16 ? 3 + bits(2) : s == 17 ? 3 + bits(3) : 11 + bits(7);
      lengths.insert(lengths.end(), times, value);
    }
    if (lengths.size() != literals + distances) bad_ = true;
    if (bad_) return;
    const std::span<const std::uint8_t> all(lengths);
    const Code near = code_of(all.first(literals)), far = code_of(all.subspan(literals));
    block(near, far);
  }

  void block(const Code& literals, const Code& distances) {
    while (out.size() < most_ && !bad_) {
      const unsigned s = symbol(literals);
      if (bad_ || s == kEndOfBlock) return;
      if (s < kEndOfBlock)
        out.push_back(static_cast<std::byte>(s));
      else
        repeat(s - kFirstLength, distances);
    }
  }

  void repeat(unsigned row, const Code& distances) {
    if (row >= kLengths.size()) bad_ = true;
    if (bad_) return;
    const unsigned length = kLengths[row].base + bits(kLengths[row].extra_bits), far = symbol(distances);
    if (far >= kDistances.size()) bad_ = true;
    if (bad_) return;
    const std::size_t distance = kDistances[far].base + bits(kDistances[far].extra_bits);
    if (distance > out.size()) bad_ = true;
    for (unsigned i = 0; i < length && out.size() < most_ && !bad_; ++i) out.push_back(out[out.size() - distance]);
  }

  std::span<const std::byte> in_;
  std::size_t most_;
  std::uint64_t at_ = 0;  // in bits
  bool bad_ = false;
};

}  // namespace

std::optional<std::vector<std::byte>> inflate_beginning(std::span<const std::byte> deflated, std::size_t most) {
  Inflater inflater(deflated, most);
  inflater.out.reserve(most);
  if (!inflater.run()) return std::nullopt;
  return std::move(inflater.out);
}

}  // namespace coppice
