// Rules that the members of several formats share.
#include "coppice/engine/error.h"
#include "format.h"

namespace coppice::sparse {

void check_member(const Members::value_type& member, Dtype dtype, const Shape& shape) {
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

}  // namespace coppice::sparse
