#include "pack/sparse_member.h"

#include "coppice/engine/checked.h"
#include "coppice/engine/create.h"

namespace coppice::sparsity {

SparseMember::SparseMember(const NamedTensors& all, const ListedTensor& listed, const Source& source,
                           const Limits& limits)
    : source_(source),
      name_(listed.name),
      values_(find(all, kCompressed, std::nullopt)),
      old_(!listed.sizes.has_value()) {
  if (old_) {
    read_bitmask(all, limits);
  } else {
    set_shape(*listed.sizes);
    read_places(all);
  }
  check_counts();
}

/// Layout 1.
void SparseMember::read_bitmask(const NamedTensors& all, const Limits& limits) {
  const Tensor axes = find(all, kShape, Dtype::i64);
  if (static_cast<std::uint64_t>(axes.numel()) > limits.rank)
    source_.exceeded("rank", cat("the axes of ", quote(name_)), limits.rank, static_cast<std::uint64_t>(axes.numel()));
  std::vector<std::uint64_t> sizes;
  for (const std::int64_t axis : axes.data<std::int64_t>()) {
    if (axis < 0) source_.reject(quote(name_ + kShape), " must hold sizes; got ", axis);
    sizes.push_back(static_cast<std::uint64_t>(axis));
  }
  set_shape(sizes);
  bits_ = find(all, kBitmask, Dtype::u8);
  if (bits_.numel() != bytes_for(shape_.numel()))
    source_.reject(quote(name_ + kBitmask), " must have ", bytes_for(shape_.numel()), " bytes for shape ", shape_,
                   "; got ", bits_.numel());
  places_.bits = bits_.data<std::uint8_t>();
  if (!all.contains(name_ + kSigns)) return;
  signs_ = find(all, kSigns, Dtype::u8);
  const std::int64_t zeros = shape_.numel() - count_bits(places_.bits);
  if (signs_.numel() != bytes_for(zeros))
    source_.reject(quote(name_ + kSigns), " must have ", bytes_for(zeros), " bytes for ", zeros, " zeros; got ",
                   signs_.numel());
  places_.signs = signs_.data<std::uint8_t>();
}

/// Layout 2: flags, then, where they say so, a bit for each byte of the bitmask; the bitmask; the signs.
void SparseMember::read_places(const NamedTensors& all) {
  bits_ = find(all, kPlaces, Dtype::u8);
  std::span<const std::uint8_t> rest = bits_.data<std::uint8_t>();
  const std::int64_t n = shape_.numel(), whole = bytes_for(n);
  const auto take = [&](std::int64_t count, const char* what) {
    if (static_cast<std::uint64_t>(count) > rest.size())
      source_.reject(quote(name_ + kPlaces), " must have ", count, " bytes for ", what, " of shape ", shape_, "; ",
                     rest.size(), " are left");
    const auto out = rest.first(static_cast<std::size_t>(count));
    rest = rest.subspan(static_cast<std::size_t>(count));
    return out;
  };
  const std::uint8_t flags = take(1, "the flags").front();
  if (flags > (kShortBits | kHasSigns))
    source_.reject(quote(name_ + kPlaces), " must begin with 0..3; got ", int{flags});
  if ((flags & kShortBits) != 0) {
    places_.present = take(bytes_for(whole), "the bytes of the bitmask");
    check_spare(places_.present, whole, kPlaces);
  }
  places_.bits = take((flags & kShortBits) != 0 ? count_bits(places_.present) : whole, "the bitmask");
  if ((flags & kShortBits) != 0)
    for (const std::uint8_t byte : places_.bits)
      if (byte == 0) source_.reject(quote(name_ + kPlaces), " holds a byte of the bitmask that is 0");
  const std::int64_t zeros = n - count_bits(places_.bits);
  if ((flags & kHasSigns) != 0 && zeros > 0) places_.signs = take(bytes_for(zeros), "the signs");
  if (!rest.empty())
    source_.reject(quote(name_ + kPlaces), " has ", rest.size(), " bytes more than shape ", shape_, " takes");
}

void SparseMember::check_counts() const {
  const std::int64_t n = shape_.numel(), kept = count_bits(places_.bits);
  const bool ends_here = places_.present.empty() || (n > 0 && bit_at(places_.present, bytes_for(n) - 1));
  if (ends_here) check_spare(places_.bits, n, old_ ? kBitmask : kPlaces);
  if (values_.numel() != kept && (values_.numel() != 1 || kept == 0))
    source_.reject(quote(name_ + kCompressed), " must have ", kept, " elements, or 1; got ", values_.numel());
  if (places_.signs.empty()) return;
  if (!is_floating(values_.dtype())) source_.reject(quote(name_), " has signs of zeros, and is ", values_.dtype());
  check_spare(places_.signs, n - kept, old_ ? kSigns : kPlaces);
}

void SparseMember::set_shape(const std::vector<std::uint64_t>& sizes) {
  const auto bytes = checked_volume(sizes, itemsize(values_.dtype()));
  if (!bytes) source_.reject("the shape of ", quote(name_), " overflows");
  bytes_ = *bytes;
  shape_ = Shape(std::vector<std::int64_t>(sizes.begin(), sizes.end()));
}

/// @param used  of the bits; those behind them are 0
void SparseMember::check_spare(std::span<const std::uint8_t> bits, std::int64_t used, const char* what) const {
  if (used % 8 != 0 && bits.back() >> (used % 8) != 0) source_.reject(quote(name_ + what), " has bits behind its last");
}

Tensor SparseMember::find(const NamedTensors& all, const char* member, std::optional<Dtype> dtype) const {
  const Tensor* found = all.find(name_ + member);
  if (found == nullptr) source_.reject("has no ", quote(name_ + member));
  if (found->dim() != 1 || found->is_quantized() || (dtype && found->dtype() != *dtype))
    source_.reject(quote(name_ + member), " must be a list", dtype ? cat(" of ", *dtype) : "", "; got ", found->dtype(),
                   " ", found->shape());
  return *found;
}

std::vector<std::string> SparseMember::names() const {
  if (!old_) return {name_ + kPlaces, name_ + kCompressed};
  std::vector<std::string> out{name_ + kShape, name_ + kBitmask, name_ + kCompressed};
  if (signs_.defined()) out.push_back(name_ + kSigns);
  return out;
}

std::array<const void*, 3> SparseMember::place() const {
  return {bits_.bytes(), values_.bytes(), signs_.defined() ? signs_.bytes() : nullptr};
}

Tensor SparseMember::expanded() const {
  Tensor out = Tensor::empty(shape_, values_.dtype());
  join_zeros(places_, values_, out);
  return out;
}

}  // namespace coppice::sparsity
