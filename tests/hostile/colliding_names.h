#pragma once
/// Names that the hash of GNU's C++ library, whose seed is public, takes to one number: in a hashed table each of them
/// is compared with all the others.

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace coppice::test {

/// `count` different names of 16 printable bytes without quotes, backslashes, dots and slashes.
///
/// The hash of 16 bytes is ((s ^ f(a)) · m ^ f(b)) · m and a bijection of that; `b` is solved for, given `a`.
inline std::vector<std::string> colliding_names(std::size_t count) {
  constexpr std::uint64_t m = 0xc6a4a7935bd1e995, seed = 0xc70f6907 ^ (16 * m), target = 0x1234567890abcdef;
  std::uint64_t inverse = m;
  for (int i = 0; i < 6; ++i) inverse *= 2 - m * inverse;          // Newton's iteration modulo 2^64
  const auto mix = [](std::uint64_t v) { return v ^ (v >> 47); };  // is its own inverse
  const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_-";
  std::vector<std::string> out;
  for (std::uint64_t n = 0; out.size() < count; ++n) {
    char name[16];
    for (int i = 0; i < 8; ++i) name[i] = letters[n >> (6 * i) & 63];
    std::uint64_t a = 0;
    std::memcpy(&a, name, 8);
    const std::uint64_t b = mix((((seed ^ mix(a * m) * m) * m) ^ target) * inverse) * inverse;
    std::memcpy(name + 8, &b, 8);
    bool plain = true;
    for (int i = 8; i < 16 && plain; ++i)
      plain = name[i] > 0x20 && name[i] < 0x7F && std::strchr("\"'\\./", name[i]) == nullptr;
    if (plain) out.emplace_back(name, 16);
  }
  return out;
}

}  // namespace coppice::test
