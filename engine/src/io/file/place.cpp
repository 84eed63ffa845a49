#include "io/file/place.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace coppice {

void copy_swapped(std::byte* to, const std::byte* from, std::size_t count, std::size_t width) {
  for (std::size_t i = 0; i < count; ++i) std::reverse_copy(from + i * width, from + (i + 1) * width, to + i * width);
}

std::string sizes_text(std::span<const std::uint64_t> sizes) {
  std::string out = "(";
  for (const std::uint64_t size : sizes) out += cat(out.size() == 1 ? "" : ", ", size);
  return out + (sizes.size() == 1 ? ",)" : ")");
}

namespace {

template <std::size_t width>
void copy_line(std::byte* to, const std::byte* from, std::size_t count, std::size_t step) {
  for (std::size_t i = 0; i < count; ++i) std::memcpy(to + i * width, from + i * step, width);
}

void copy_line(std::byte* to, const std::byte* from, std::size_t count, std::size_t step, std::size_t width) {
  if (step == width)
    std::memcpy(to, from, count * width);
  else if (width == 1)
    copy_line<1>(to, from, count, step);
  else if (width == 2)
    copy_line<2>(to, from, count, step);
  else if (width == 4)
    copy_line<4>(to, from, count, step);
  else
    copy_line<8>(to, from, count, step);
}

}  // namespace

void copy_strided(std::byte* to, const std::byte* from, std::span<const std::int64_t> sizes,
                  std::span<const std::int64_t> strides, std::size_t width) {
  if (std::ranges::find(sizes, 0) != sizes.end()) return;
  // An axis of size 1 moves nothing: files give it any stride, and counting it would cost a step for each element.
  std::vector<std::int64_t> counts, steps;
  for (std::size_t axis = 0; axis < sizes.size(); ++axis)
    if (sizes[axis] > 1) counts.push_back(sizes[axis]), steps.push_back(strides[axis]);
  if (counts.empty()) {
    std::memcpy(to, from, width);
    return;
  }
  const auto line = static_cast<std::size_t>(counts.back());
  const std::size_t step = static_cast<std::size_t>(steps.back()) * width;
  std::vector<std::int64_t> index(counts.size(), 0);
  std::int64_t at = 0;  // in elements
  for (;;) {
    copy_line(to, from + static_cast<std::size_t>(at) * width, line, step, width);
    to += line * width;
    std::size_t axis = counts.size() - 1;  // count up the outer axes
    for (;; --axis) {
      if (axis == 0) return;
      at += steps[axis - 1];
      if (++index[axis - 1] < counts[axis - 1]) break;
      at -= index[axis - 1] * steps[axis - 1];
      index[axis - 1] = 0;
    }
  }
}

void check_bools(const Source& source, std::string_view name, std::span<const std::byte> bytes) {
  const auto bad = std::ranges::find_if(bytes, [](std::byte b) { return b > std::byte{1}; });
  if (bad != bytes.end())
    source.reject("bool tensor ", quote(name), " must hold 0 and 1 only; element ", bad - bytes.begin(), " is ",
                  std::to_integer<int>(*bad));
}

Tensor place_tensor(const Source& source, std::string_view name, const std::shared_ptr<Storage>& storage,
                    std::size_t offset, const Shape& shape, Dtype dtype, MemoryBudget& budget, bool swap) {
  const std::size_t width = itemsize(dtype);
  const std::size_t bytes = static_cast<std::size_t>(shape.numel()) * width;
  const std::byte* from = storage->data() + offset;
  if (dtype == Dtype::boolean) check_bools(source, name, {from, bytes});
  const bool reversed = swap && width > 1;
  if (!reversed && reinterpret_cast<std::uintptr_t>(from) % width == 0)
    return Tensor::over(storage, offset, shape, dtype);
  budget.take(bytes, cat("tensor ", quote(name)));
  auto copy = Storage::allocate(bytes);
  if (reversed) {
    copy_swapped(copy->data(), from, bytes / width, width);
  } else if (bytes > 0) {
    std::memcpy(copy->data(), from, bytes);
  }
  return Tensor::over(std::move(copy), 0, shape, dtype);
}

}  // namespace coppice
