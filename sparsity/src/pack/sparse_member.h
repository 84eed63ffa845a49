#pragma once
// One tensor of a checkpoint that is stored without its zeros, out of its members. Private to sparsity.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "coppice/engine/io/limits.h"
#include "coppice/engine/io/named_tensors.h"
#include "pack/member_list.h"
#include "pack/zero_bits.h"

namespace coppice::sparsity {

// Behind the name of the tensor.
inline constexpr const char* kCompressed = ".compressed";
inline constexpr const char* kPlaces = ".places";  // layout 2
inline constexpr const char* kShape = ".shape";    // layout 1
inline constexpr const char* kBitmask = ".bitmask";
inline constexpr const char* kSigns = ".signs";

// Bits of the first byte of `.places`.
inline constexpr std::uint8_t kShortBits = 1;  // bytes of the bitmask that are 0 are left out
inline constexpr std::uint8_t kHasSigns = 2;

class SparseMember {
 public:
  /// @throws FormatError  if a member is missing or does not fit the others; LimitError. Takes no memory for values.
  SparseMember(const NamedTensors& all, const ListedTensor& listed, const Source& source, const Limits& limits);

  [[nodiscard]] const Shape& shape() const { return shape_; }
  [[nodiscard]] Dtype dtype() const { return values_.dtype(); }
  /// Bytes of the tensor.
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  /// The members that it is made of.
  [[nodiscard]] std::vector<std::string> names() const;
  /// Where they stand: the same for tied tensors.
  [[nodiscard]] std::array<const void*, 3> place() const;
  [[nodiscard]] Tensor expanded() const;

 private:
  [[nodiscard]] Tensor find(const NamedTensors& all, const char* member, std::optional<Dtype> dtype) const;
  void set_shape(const std::vector<std::uint64_t>& sizes);
  void read_bitmask(const NamedTensors& all, const Limits& limits);
  void read_places(const NamedTensors& all);
  void check_counts() const;
  void check_spare(std::span<const std::uint8_t> bits, std::int64_t used, const char* what) const;

  const Source& source_;
  std::string name_;
  Tensor values_;
  Tensor bits_, signs_;  // that places_ looks into
  ZeroPlaces places_;
  Shape shape_;
  std::uint64_t bytes_ = 0;
  bool old_;
};

}  // namespace coppice::sparsity
