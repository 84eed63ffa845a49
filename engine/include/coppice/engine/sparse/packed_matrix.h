#pragma once
/// A layer's weight without its zeros: stored as it is run, in memory or mapped from a file.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "coppice/engine/sparse/packed_format.h"
#include "coppice/engine/tensor.h"

namespace coppice {

/// An immutable float32 matrix in one of the formats. Copies share the numbers and cost nothing. Safe to use from many
/// threads.
///
/// Kernels trust the numbers of rows and columns, which were checked when the matrix was made. A member that was
/// written since (by another handle on its storage) is a StateError at the next use, not a reading out of range.
class PackedMatrix {
 public:
  using Members = std::vector<std::pair<std::string, Tensor>>;

  /// Drops zeros of either sign; subnormal numbers become zero, since they would slow every product down.
  /// @param dense  float32 [rows, cols]
  /// @throws ShapeError, DtypeError; LimitError  if the format would need more than 2^31 - 1 stored values
  [[nodiscard]] static PackedMatrix pack(const Tensor& dense, PackedFormat format);

  /// A matrix over members that came from outside: every rule of its format is checked, nothing is copied.
  /// @throws FormatError  naming the member, the rule and the found value
  [[nodiscard]] static PackedMatrix from_members(PackedFormat format, std::int64_t rows, std::int64_t cols,
                                                 const Members& members);

  [[nodiscard]] PackedFormat format() const { return format_; }
  [[nodiscard]] std::int64_t rows() const { return rows_; }
  [[nodiscard]] std::int64_t cols() const { return cols_; }
  /// Names and tensors to be stored; from_members() takes them back.
  [[nodiscard]] const Members& members() const& { return held_->members; }
  [[nodiscard]] Members members() && { return held_->members; }
  /// Whether the matrix shows these members (other handles on the same bytes count) and none was written since
  /// they were checked.
  [[nodiscard]] bool shows(const Members& members) const;
  /// The same for member number `i` alone.
  [[nodiscard]] bool shows(std::size_t i, const Tensor& member) const;
  /// Bytes of the members.
  [[nodiscard]] std::size_t nbytes() const;
  /// Numbers that are not 0. @throws StateError  here and below, if a member was written
  [[nodiscard]] std::int64_t nonzeros() const;
  /// float32 [rows, cols].
  [[nodiscard]] Tensor unpack() const;

  /// x wT + bias. No gradient. Bits do not depend on the number of threads.
  /// @param x     float32 [batch, cols]
  /// @param bias  float32 [rows], or undefined
  /// @return      float32 [batch, rows]
  /// @throws ShapeError, DtypeError
  [[nodiscard]] Tensor linear(const Tensor& x, const Tensor& bias = {}) const;

  /// y = w x + bias with the samples along the rows, as im2col makes them. On the calling thread, for use inside a
  /// parallel body. x: [cols, n], y: [rows, n], bias: [rows] or empty; row-major.
  /// @throws ShapeError  if a length is wrong
  void multiply(std::span<const float> x, std::int64_t n, std::span<float> y, std::span<const float> bias = {}) const;

 private:
  struct Held {
    Members members;  // handles of the matrix's own: what becomes of those of others does not matter
    std::vector<std::uint64_t> versions;  // of their storages when they were checked
  };
  PackedMatrix(PackedFormat format, std::int64_t rows, std::int64_t cols, const Members& members);
  void check_unchanged(const char* op) const;

  PackedFormat format_;
  std::int64_t rows_, cols_;
  std::shared_ptr<const Held> held_;
};

}  // namespace coppice
