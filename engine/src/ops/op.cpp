#include "coppice/engine/ops/op.h"

#include <algorithm>

#include "tensor_impl.h"

namespace coppice {

constinit thread_local OpListener* detail::op_listener = nullptr;

OpListener::OpListener() : before_(detail::op_listener) { detail::op_listener = this; }
OpListener::~OpListener() { detail::op_listener = before_; }

namespace detail {

bool wants_grad(std::span<const std::reference_wrapper<const Tensor>> inputs) {
  return grad_enabled() &&
         std::ranges::any_of(inputs, [](const Tensor& t) { return t.defined() && t.requires_grad(); });
}

bool wants_grad(std::span<const Tensor> inputs) {
  return grad_enabled() &&
         std::ranges::any_of(inputs, [](const Tensor& t) { return t.defined() && t.requires_grad(); });
}

}  // namespace detail

std::optional<GradFn> grad_fn(const Tensor& t) {
  const auto& node = deref(t, "grad_fn").node;
  if (node == nullptr) return std::nullopt;
  return GradFn{node->op, node->attributes};
}

}  // namespace coppice
