#include "coppice/engine/sparse/packed_matrix.h"

#include <algorithm>
#include <array>
#include <limits>

#include "../tensor_impl.h"
#include "coppice/engine/error.h"
#include "formats.h"

namespace coppice {
namespace {

constexpr std::array<PackedFormat, 6> kFormats{PackedFormat::dense,  PackedFormat::csr,    PackedFormat::bitmask,
                                               PackedFormat::block4, PackedFormat::block8, PackedFormat::block16};
constexpr std::array<std::string_view, 6> kNames{"dense", "csr", "bitmask", "block4", "block8", "block16"};

constexpr std::array<std::string_view, 1> kDenseMembers{"values"};
constexpr std::array<std::string_view, 3> kBitmaskMembers{"mask", "row_offsets", "values"};
constexpr std::array<std::string_view, 3> kBlockMembers{"row_offsets", "columns", "values"};

Tensor flushed(const Tensor& dense) {
  Tensor out = Tensor::empty(dense.shape());
  std::ranges::transform(dense.data<float>(), out.mutable_data<float>().begin(),
                         [](float v) { return sparse::vanishes(v) ? 0.0f : v; });
  return out;
}

}  // namespace

namespace sparse {

std::int64_t block_height(PackedFormat format) {
  switch (format) {
    case PackedFormat::csr: return 1;
    case PackedFormat::block4: return 4;
    case PackedFormat::block8: return 8;
    case PackedFormat::block16: return 16;
    default: return 0;
  }
}

void check_member(const std::pair<std::string, Tensor>& member, Dtype dtype, const Shape& shape) {
  const auto& [name, tensor] = member;
  if (tensor.dtype() != dtype)
    throw FormatError(cat("[PackedMatrix] '", name, "' must be ", dtype, "; it is ", tensor.dtype()));
  if (tensor.shape() != shape)
    throw FormatError(cat("[PackedMatrix] '", name, "' must have shape ", shape, "; it has ", tensor.shape()));
}

void check_offsets(const Tensor& offsets, std::int64_t count) {
  const std::span<const std::int32_t> offset = offsets.data<std::int32_t>();
  if (offset.front() != 0) throw FormatError(cat("[PackedMatrix] 'row_offsets' must start at 0; got ", offset.front()));
  for (std::size_t i = 1; i < offset.size(); ++i)
    if (offset[i] < offset[i - 1])
      throw FormatError(
          cat("[PackedMatrix] 'row_offsets' must not fall; element ", i, " is ", offset[i], " after ", offset[i - 1]));
  if (offset.back() != count)
    throw FormatError(
        cat("[PackedMatrix] 'row_offsets' must end at ", count, ", the number stored; got ", offset.back()));
}

void check_count(std::int64_t count) {
  constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max();
  if (count > most) throw LimitError(cat("[PackedMatrix] a packed matrix holds at most ", most, " values"));
}

}  // namespace sparse

std::string_view name_of(PackedFormat format) { return kNames[static_cast<std::size_t>(format)]; }
std::string to_string(PackedFormat format) { return std::string(name_of(format)); }

std::optional<PackedFormat> packed_format_from_name(std::string_view name) {
  for (const PackedFormat f : kFormats)
    if (name_of(f) == name) return f;
  return std::nullopt;
}

std::span<const PackedFormat> all_packed_formats() { return kFormats; }

std::span<const std::string_view> member_names(PackedFormat format) {
  switch (format) {
    case PackedFormat::dense: return kDenseMembers;
    case PackedFormat::bitmask: return kBitmaskMembers;
    default: return kBlockMembers;
  }
}

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
  Members members;
  if (format == PackedFormat::dense)
    members = {{"values", flushed(dense)}};
  else if (format == PackedFormat::bitmask)
    members = sparse::pack_bitmask(dense);
  else
    members = sparse::pack_blocks(dense, sparse::block_height(format));
  return {format, dense.size(0), dense.size(1), members};
}

PackedMatrix PackedMatrix::from_members(PackedFormat format, std::int64_t rows, std::int64_t cols,
                                        const Members& members) {
  constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max() - 1;
  if (rows < 0 || cols < 0 || rows > most || cols > most)
    throw FormatError(cat("[PackedMatrix] rows and columns must be in 0..", most, "; got ", rows, " and ", cols));
  Members ordered;
  for (const std::string_view name : member_names(format)) {
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
  if (format == PackedFormat::dense)
    sparse::check_member(ordered[0], Dtype::f32, Shape{rows, cols});
  else if (format == PackedFormat::bitmask)
    sparse::check_bitmask(ordered, rows, cols);
  else
    sparse::check_blocks(ordered, rows, cols, sparse::block_height(format));
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

const Tensor& PackedMatrix::member(std::string_view name) const {
  return std::ranges::find(held_->members, name, &Members::value_type::first)->second;
}

std::size_t PackedMatrix::nbytes() const {
  std::size_t total = 0;
  for (const auto& [name, tensor] : held_->members) total += tensor.nbytes();
  return total;
}

std::int64_t PackedMatrix::nonzeros() const {
  check_unchanged("nonzeros");
  return std::ranges::count_if(member("values").data<float>(), [](float v) { return v != 0; });
}

Tensor PackedMatrix::unpack() const {
  check_unchanged("unpack");
  if (format_ == PackedFormat::dense) return member("values").clone();
  if (format_ == PackedFormat::bitmask) return sparse::unpack_bitmask(held_->members, rows_, cols_);
  return sparse::unpack_blocks(sparse::view_blocks(held_->members, rows_, cols_, sparse::block_height(format_)));
}

}  // namespace coppice
