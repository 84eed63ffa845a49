#include "coppice/nn/masks/fake_sparsity.h"

#include "coppice/engine/checked.h"
#include "coppice/engine/create.h"
#include "coppice/engine/error.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/nn/init.h"

namespace coppice::nn {

FakeSparsity::FakeSparsity(Tensor mask) {
  if (!mask.defined()) throw TypeError("[FakeSparsity] the mask is not a tensor: undefined");
  register_buffer("mask", std::move(mask));
}

FakeSparsity::FakeSparsity(const Arguments& a) {
  const std::string type = a.text("dtype", "float32");
  const auto dtype = dtype_from_name(type);
  if (!dtype) throw ValueError(cat("[FakeSparsity] unknown dtype ", quote(type)));
  Tensor mask = Tensor::empty(Shape(a.integers("shape")), *dtype);
  if (!SkipInit::active()) mask.fill_(1);  // a reader fills it, and its size may lie
  register_buffer("mask", mask);
}

Arguments FakeSparsity::arguments() const {
  const Tensor now = mask();
  Arguments out;
  out.set("shape", std::vector<std::int64_t>(now.shape().begin(), now.shape().end()));
  if (now.dtype() != Dtype::f32) out.set("dtype", to_string(now.dtype()));
  return out;
}

Tensor FakeSparsity::forward(const Tensor& x) const {
  const Tensor now = mask();
  if (now.shape() != x.shape())
    throw ShapeError(cat("[FakeSparsity] mask ", now.shape(), " for a tensor of shape ", x.shape()));
  return mul(now, x);
}

}  // namespace coppice::nn
