#include "coppice/engine/ops/op.h"

#include <algorithm>

#include "tensor_impl.h"

namespace coppice {

constinit thread_local OpListener* detail::op_listener = nullptr;
constinit thread_local const OpRow* detail::running_op = nullptr;

OpListener::OpListener() : before_(detail::op_listener) { detail::op_listener = this; }
OpListener::~OpListener() {
  OpListener** place = &detail::op_listener;  // it need not be the newest
  while (*place != nullptr && *place != this) place = &(*place)->before_;
  if (*place == this) *place = before_;
}

namespace detail {

namespace {
bool any_wants(const auto& inputs) {
  return grad_enabled() &&
         std::ranges::any_of(inputs, [](const Tensor& t) { return t.defined() && t.requires_grad(); });
}
}  // namespace

bool wants_grad(std::span<const std::reference_wrapper<const Tensor>> inputs) { return any_wants(inputs); }
bool wants_grad(std::span<const Tensor> inputs) { return any_wants(inputs); }

void refuse_quantized(Dtype dtype, std::string_view otherwise) {
  throw DtypeError(cat("[", running_op != nullptr ? running_op->name : otherwise, "] ", dtype,
                       " tensors are not taken here; dequantize() gives their values as float32"));
}

}  // namespace detail

std::optional<GradFn> grad_fn(const Tensor& t) {
  const auto& node = deref(t, "grad_fn").node;
  if (node == nullptr) return std::nullopt;
  return GradFn{node->op, node->attributes};
}

}  // namespace coppice
