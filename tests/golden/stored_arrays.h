#pragma once
/// Stored numbers and masks of all cases of a golden file, taken one after another.

#include <doctest/doctest.h>

#include <cstdint>
#include <span>
#include <vector>

#include "coppice/engine/tensor.h"

namespace coppice::testing {

/// Masks as bits, the highest of each byte first.
class StoredBits {
 public:
  explicit StoredBits(const Tensor& bytes) : stored_(bytes), bytes_(stored_.data<std::uint8_t>()) {}
  [[nodiscard]] bool next() {
    REQUIRE(at_ / 8 < bytes_.size());
    const bool bit = (bytes_[at_ / 8] >> (7 - at_ % 8)) % 2 != 0;
    ++at_;
    return bit;
  }
  /// In how many entries `mask` differs from the next ones.
  [[nodiscard]] std::size_t differing(const Tensor& mask) {
    std::size_t wrong = 0;
    for (const std::int64_t kept : mask.to_vector<std::int64_t>()) wrong += (kept != 0) != next();
    return wrong;
  }
  [[nodiscard]] bool at_end() const { return (at_ + 7) / 8 == bytes_.size(); }

 private:
  Tensor stored_;
  std::span<const std::uint8_t> bytes_;
  std::size_t at_ = 0;
};

/// Numbers as float32.
class StoredValues {
 public:
  explicit StoredValues(const Tensor& values) : values_(values.to_vector<float>()) {}
  [[nodiscard]] Tensor next(const Shape& shape) {
    const auto n = static_cast<std::size_t>(shape.numel());
    REQUIRE(at_ + n <= values_.size());
    at_ += n;
    return Tensor::from(std::span<const float>(values_).subspan(at_ - n, n), shape);
  }
  [[nodiscard]] bool at_end() const { return at_ == values_.size(); }

 private:
  std::vector<float> values_;
  std::size_t at_ = 0;
};

/// Numbers as int64.
class StoredIntegers {
 public:
  explicit StoredIntegers(const Tensor& integers) : integers_(integers.to_vector<std::int64_t>()) {}
  [[nodiscard]] Tensor next(const Shape& shape) {
    const auto n = static_cast<std::size_t>(shape.numel());
    REQUIRE(at_ + n <= integers_.size());
    at_ += n;
    return Tensor::from(std::span<const std::int64_t>(integers_).subspan(at_ - n, n), shape);
  }
  [[nodiscard]] bool at_end() const { return at_ == integers_.size(); }

 private:
  std::vector<std::int64_t> integers_;
  std::size_t at_ = 0;
};

}  // namespace coppice::testing
