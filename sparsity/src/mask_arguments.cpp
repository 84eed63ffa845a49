#include "mask_arguments.h"

#include <bit>

#include "coppice/engine/checked.h"
#include "coppice/nn/bits.h"

namespace coppice::sparsity {
namespace {

std::uint64_t bytes_of(const Arguments& arguments) {
  std::uint64_t sum = 0;
  for (const auto& [name, value] : arguments) {
    if (const auto* tensor = std::get_if<Tensor>(&value)) sum += tensor->nbytes();
    if (const auto* map = std::get_if<Arguments>(&value)) sum += bytes_of(*map);
  }
  return sum;
}

/// Bytes of the coordinates of that many entries.
void take_coordinates(MemoryBudget& budget, std::int64_t count, std::int64_t rank, Dtype dtype) {
  budget.take(static_cast<std::uint64_t>(count) * (8 * static_cast<std::uint64_t>(rank) + itemsize(dtype)),
              "the coordinates of a mask");
}

Tensor unpacked(const Tensor& bits, const Shape& shape, Dtype dtype, MemoryBudget& budget) {
  if (bits.dtype() != Dtype::u8) throw DtypeError(cat("[load_state_dict] bits of a mask are ", bits.dtype()));
  std::int64_t set = 0;
  for (const std::uint8_t byte : bits.data<std::uint8_t>()) set += std::popcount(byte);
  budget.take(8 * bits.nbytes() * itemsize(dtype), "a mask");  // of as many entries, or unpack_bits() refuses
  take_coordinates(budget, set, shape.rank(), dtype);
  return nn::unpack_bits(bits, shape, dtype);
}

}  // namespace

Arguments mask_to_arguments(const CooTensor& mask) {
  const Tensor dense = to_dense(mask);
  if (!nn::is_binary(dense)) return {{"values", dense}};
  return {{"shape", std::vector<std::int64_t>(mask.shape.begin(), mask.shape.end())},
          {"dtype", to_string(dense.dtype())},
          {"bits", nn::pack_bits(dense)}};
}

MemoryBudget budget_of(const char* op, const Arguments& state, const Limits& limits) {
  return {Source{op, "state"}, limits, bytes_of(state)};
}

CooTensor mask_from_arguments(const Arguments& arguments, MemoryBudget& budget) {
  const Arguments a = arguments.clone();  // remembers for itself what was read
  CooTensor out;
  if (a.has("values")) {
    const Tensor values = a.tensor("values");
    take_coordinates(budget, values.numel(), values.dim(), values.dtype());
    out = to_coo(values);
  } else {
    const std::string type = a.text("dtype");
    const auto dtype = dtype_from_name(type);
    if (!dtype) throw ValueError(cat("[load_state_dict] unknown type ", quote(type), " of a mask"));
    out = to_coo(unpacked(a.tensor("bits"), Shape(a.integers("shape")), *dtype, budget));
  }
  a.reject_unread("a mask");
  return out;
}

}  // namespace coppice::sparsity
