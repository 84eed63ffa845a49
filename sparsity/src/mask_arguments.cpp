#include "mask_arguments.h"

#include "coppice/engine/checked.h"
#include "coppice/nn/bits.h"

namespace coppice::sparsity {

Arguments mask_to_arguments(const CooTensor& mask) {
  const Tensor dense = to_dense(mask);
  if (!nn::is_binary(dense)) return {{"values", dense}};
  return {{"shape", std::vector<std::int64_t>(mask.shape.begin(), mask.shape.end())},
          {"dtype", to_string(dense.dtype())},
          {"bits", nn::pack_bits(dense)}};
}

CooTensor mask_from_arguments(const Arguments& arguments) {
  const Arguments a = arguments.clone();  // remembers for itself what was read
  CooTensor out;
  if (a.has("values")) {
    out = to_coo(a.tensor("values"));
  } else {
    const std::string type = a.text("dtype");
    const auto dtype = dtype_from_name(type);
    if (!dtype) throw ValueError(cat("[load_state_dict] unknown type ", quote(type), " of a mask"));
    out = to_coo(nn::unpack_bits(a.tensor("bits"), Shape(a.integers("shape")), *dtype));
  }
  a.reject_unread("a mask");
  return out;
}

}  // namespace coppice::sparsity
