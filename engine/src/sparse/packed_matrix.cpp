#include "coppice/engine/sparse/packed_matrix.h"

#include <algorithm>
#include <limits>

#include "../tensor_impl.h"
#include "coppice/engine/cpu.h"
#include "coppice/engine/error.h"
#include "coppice/engine/ops/reduce.h"
#include "format.h"

namespace coppice {

PackedMatrix::PackedMatrix(PackedFormat format, std::int64_t rows, std::int64_t cols, const Members& members)
    : format_(format), rows_(rows), cols_(cols) {
  auto held = std::make_shared<Held>();
  for (const auto& [name, tensor] : members) {
    held->members.emplace_back(name, tensor.detach());
    held->versions.push_back(tensor.version());
  }
  held_ = std::move(held);
}

PackedMatrix PackedMatrix::pack(const Tensor& dense, PackedFormat format) {
  if (dense.dtype() != Dtype::f32)
    throw DtypeError(cat("[PackedMatrix::pack] the matrix must be float32; it is ", dense.dtype()));
  if (dense.dim() != 2)
    throw ShapeError(cat("[PackedMatrix::pack] the matrix must have two axes; got shape ", dense.shape()));
  return {format, dense.size(0), dense.size(1), format.row().pack(format.row(), dense)};
}

PackedMatrix PackedMatrix::from_members(PackedFormat format, std::int64_t rows, std::int64_t cols,
                                        const Members& members) {
  constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max() - 1;
  if (rows < 0 || cols < 0 || rows > most || cols > most)
    throw FormatError(cat("[PackedMatrix] rows and columns must be in 0..", most, "; got ", rows, " and ", cols));
  Members ordered;
  for (const std::string_view name : format.layout().members) {
    const auto is_it = [&](const auto& m) { return m.first == name; };
    const auto found = std::ranges::find_if(members, is_it);
    if (found == members.end() || !found->second.defined())
      throw FormatError(cat("[PackedMatrix] format ", format, " needs a member '", name, "'"));
    ordered.emplace_back(found->first, found->second.detach());
  }
  for (const auto& [name, tensor] : members)
    if (std::ranges::count(members, name, &Members::value_type::first) != 1 ||
        std::ranges::count(ordered, name, &Members::value_type::first) != 1)
      throw FormatError(cat("[PackedMatrix] format ", format, " has no place for a member '", name, "'"));
  format.row().check({format.row(), ordered, rows, cols});
  return {format, rows, cols, ordered};
}

bool PackedMatrix::shows(const Members& members) const {
  if (members.size() != held_->members.size()) return false;
  for (std::size_t i = 0; i < members.size(); ++i)
    if (held_->members[i].first != members[i].first || !shows(i, members[i].second)) return false;
  return true;
}

bool PackedMatrix::shows(std::size_t i, const Tensor& member) const {
  if (!member.defined()) return false;
  const TensorImpl &own = *held_->members[i].second.impl(), &other = *member.impl();  // before every product: no calls
  return own.storage == other.storage && own.storage->version() == held_->versions[i] && own.offset == other.offset &&
         own.dtype == other.dtype && own.shape == other.shape;
}

void PackedMatrix::check_unchanged(const char* op) const {
  for (std::size_t i = 0; i < held_->members.size(); ++i)
    if (const auto& [name, tensor] = held_->members[i]; tensor.impl()->storage->version() != held_->versions[i])
      throw StateError(cat("[PackedMatrix::", op, "] '", name,
                           "' was written after it had been checked; the matrix is ", rows_, " x ", cols_,
                           " in format ", format_));
}

std::size_t PackedMatrix::nbytes() const {
  std::size_t total = 0;
  for (const auto& [name, tensor] : held_->members) total += tensor.nbytes();
  return total;
}

std::int64_t PackedMatrix::nonzeros() const {
  check_unchanged("nonzeros");
  return count_nonzero(std::ranges::find(held_->members, "values", &Members::value_type::first)->second);
}

Tensor PackedMatrix::unpack() const {
  check_unchanged("unpack");
  return format_.row().unpack({format_.row(), held_->members, rows_, cols_});
}

Tensor PackedMatrix::linear(const Tensor& x, const Tensor& bias) const {
  if (x.dtype() != Dtype::f32 || (bias.defined() && bias.dtype() != Dtype::f32))
    throw DtypeError(cat("[PackedMatrix::linear] x and bias must be float32; x is ", x.dtype()));
  if (x.dim() != 2 || x.size(1) != cols_)
    throw ShapeError(cat("[PackedMatrix::linear] needs x: [batch, ", cols_, "]; got ", x.shape()));
  if (bias.defined() && bias.shape() != Shape{rows_})
    throw ShapeError(cat("[PackedMatrix::linear] needs bias: [", rows_, "]; got ", bias.shape()));
  check_unchanged("linear");
  Tensor y = Tensor::empty(Shape{x.size(0), rows_});
  if (y.numel() == 0) return y;
  const FlushSubnormals flush;
  format_.row().linear({format_.row(), held_->members, rows_, cols_}, x.data<float>().data(), x.size(0),
                       bias.defined() ? bias.data<float>().data() : nullptr, y.mutable_data<float>().data());
  return y;
}

void PackedMatrix::multiply(std::span<const float> x, std::int64_t n, std::span<float> y,
                            std::span<const float> bias) const {
  if (n < 0 || std::ssize(x) != cols_ * n || std::ssize(y) != rows_ * n || (!bias.empty() && std::ssize(bias) != rows_))
    throw ShapeError(cat("[PackedMatrix::multiply] needs x: [", cols_, ", n], y: [", rows_, ", n], bias: [", rows_,
                         "] or empty with n = ", n, "; got ", x.size(), ", ", y.size(), " and ", bias.size(),
                         " elements"));
  check_unchanged("multiply");
  if (y.empty()) return;
  const FlushSubnormals flush;
  format_.row().multiply({format_.row(), held_->members, rows_, cols_}, x.data(), n,
                         bias.empty() ? nullptr : bias.data(), y.data());
}

}  // namespace coppice
