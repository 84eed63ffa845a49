#include "io/torch/tensors.h"

#include <algorithm>
#include <cstring>

#include "coppice/engine/checked.h"
#include "io/file/place.h"

namespace coppice {
namespace {

bool is_row_major(const PickleTensor& t, std::int64_t numel) {
  if (numel == 0) return true;
  std::int64_t expected = 1;
  for (std::size_t axis = t.sizes.size(); axis-- > 0;) {
    if (t.sizes[axis] != 1 && t.strides[axis] != expected) return false;
    expected *= t.sizes[axis];
  }
  return true;
}

/// Elements of the storage that the view reaches: index of the last one plus 1; nothing on overflow.
std::optional<std::uint64_t> reach(const PickleTensor& t) {
  std::optional<std::uint64_t> last = t.offset;
  for (std::size_t axis = 0; axis < t.sizes.size() && last; ++axis) {
    const auto way =
        checked_mul(static_cast<std::uint64_t>(t.sizes[axis]) - 1, static_cast<std::uint64_t>(t.strides[axis]));
    last = way ? checked_add(*last, *way) : std::nullopt;
  }
  return last ? checked_add(*last, 1) : std::nullopt;
}

template <class Bits>
void negate_each(std::byte* values, std::size_t count, bool floating) {
  for (std::size_t i = 0; i < count; ++i) {
    Bits bits{};
    std::memcpy(&bits, values + i * sizeof(Bits), sizeof(Bits));
    constexpr Bits kSign = static_cast<Bits>(Bits{1} << (8 * sizeof(Bits) - 1));
    bits = static_cast<Bits>(floating ? bits ^ kSign : Bits{0} - bits);
    std::memcpy(values + i * sizeof(Bits), &bits, sizeof(Bits));
  }
}

/// Each value becomes its negative: the sign bit of floating numbers, the two's complement of integers.
void negate(std::byte* values, std::size_t count, Dtype dtype) {
  const bool floating = is_floating(dtype);
  switch (itemsize(dtype)) {
    case 1: return negate_each<std::uint8_t>(values, count, floating);
    case 2: return negate_each<std::uint16_t>(values, count, floating);
    case 4: return negate_each<std::uint32_t>(values, count, floating);
    default: return negate_each<std::uint64_t>(values, count, floating);
  }
}

}  // namespace

/// Bools are checked and odd addresses and foreign byte order mended once for a storage, however many tensors show it.
const std::shared_ptr<Storage>& TensorMaker::storage(const PickleTensor& spec, const std::string& path) {
  std::shared_ptr<Storage>& held = storages_[spec.storage];
  std::optional<Dtype>& held_type = storage_types_[spec.storage];
  if (held != nullptr) {
    if (held_type != spec.dtype)
      source_.reject("tensor ", quote(path), ": its storage is shown as ", *held_type, " and as ", spec.dtype);
    return held;
  }
  const PickleStorage& wanted = pickle_.storages()[spec.storage];
  const std::size_t width = itemsize(spec.dtype);
  auto bytes = fetch_(wanted);
  const auto expected = checked_mul(wanted.numel, wanted.untyped ? 1 : width);
  if (expected != bytes->bytes())
    source_.reject("tensor ", quote(path), ": storage ", quote(wanted.key), " must have ", wanted.numel,
                   wanted.untyped ? " bytes" : " elements of ", wanted.untyped ? "" : name_of(spec.dtype), "; it has ",
                   bytes->bytes(), " bytes");
  if (spec.dtype == Dtype::boolean) check_bools(source_, path, {bytes->data(), bytes->bytes()});
  const bool reversed = swap_ && width > 1;
  if (reversed || reinterpret_cast<std::uintptr_t>(bytes->data()) % width != 0) {
    budget_.take(bytes->bytes(), cat("storage ", quote(wanted.key)));
    auto copy = Storage::allocate(bytes->bytes());
    if (reversed)
      copy_swapped(copy->data(), bytes->data(), bytes->bytes() / width, width);
    else if (bytes->bytes() > 0)
      std::memcpy(copy->data(), bytes->data(), bytes->bytes());
    bytes = std::move(copy);
  }
  held = std::move(bytes);
  held_type = spec.dtype;
  return held;
}

Tensor TensorMaker::tensor(std::uint32_t index, const std::string& path) {
  Tensor& made = tensors_[index];
  if (made.defined()) return made;
  const PickleTensor& spec = pickle_.tensors()[index];
  const std::size_t width = itemsize(spec.dtype);
  const std::vector<std::uint64_t> sizes(spec.sizes.begin(), spec.sizes.end());
  const auto bytes = checked_volume(sizes, width);
  if (!bytes) source_.reject("tensor ", quote(path), ": the product of its sizes overflows: ", sizes_text(sizes));
  const Shape shape(spec.sizes);
  const std::shared_ptr<Storage>& from = storage(spec, path);
  const std::uint64_t held = from->bytes() / width;
  const auto needed = shape.numel() == 0 ? spec.offset : reach(spec);
  if (!needed || *needed > held)
    source_.reject("tensor ", quote(path), " of shape ", shape, " at offset ", spec.offset,
                   " reaches beyond its storage of ", held, " elements");
  if (is_row_major(spec, shape.numel()) && !spec.negated)
    return made = Tensor::over(from, static_cast<std::size_t>(spec.offset) * width, shape, spec.dtype);
  Tensor& copy = copies_[View{spec.storage, spec.offset, spec.sizes, spec.strides, spec.negated}];
  if (!copy.defined()) {
    budget_.take(*bytes, cat("tensor ", quote(path)));
    copy = copy_of(spec, *from, shape);
  }
  return made = copy;
}

Tensor TensorMaker::copy_of(const PickleTensor& spec, const Storage& from, const Shape& shape) {
  const std::size_t width = itemsize(spec.dtype);
  auto copy = Storage::allocate(static_cast<std::size_t>(shape.numel()) * width);
  copy_strided(copy->data(), from.data() + spec.offset * width, spec.sizes, spec.strides, width);
  if (spec.negated) negate(copy->data(), static_cast<std::size_t>(shape.numel()), spec.dtype);
  return Tensor::over(std::move(copy), 0, shape, spec.dtype);
}

}  // namespace coppice
