// Layers whose tensors are of another floating type than their input.
#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/nn.h"

using namespace coppice;
using namespace coppice::nn;

namespace {

const Dtype kHalf[] = {Dtype::f16, Dtype::bf16};

/// The layer in `dtype` computes on a float32 input what the same layer does with its rounded tensors in float32.
template <class M>
void check_computes_in_float32(const std::shared_ptr<M>& layer, const Tensor& x) {
  for (const Dtype dtype : kHalf) {
    CAPTURE(dtype);
    const NoGrad guard;
    const ModulePtr half = layer->clone(), wide = layer->clone();
    half->to(dtype);
    wide->to(dtype);
    wide->to(Dtype::f32);
    half->eval(), wide->eval();
    const Tensor y = (*half)(TensorList{x})[0];
    CHECK(y.dtype() == Dtype::f32);
    CHECK(y == (*wide)(TensorList{x})[0]);
    const Tensor narrow = (*half)(TensorList{x.to(dtype)})[0];
    CHECK(narrow.dtype() == dtype);
    CHECK(narrow == (*wide)(TensorList{x.to(dtype).to(Dtype::f32)})[0].to(dtype));
  }
}

}  // namespace

TEST_SUITE("nn/layers/half_types") {
  TEST_CASE("layers of half types compute in float32") {
    manual_seed(3);
    const Tensor x = randn({4, 6, 8, 8});
    check_computes_in_float32(std::make_shared<Linear>(8, 5), x);
    check_computes_in_float32(std::make_shared<Linear>(8, 5, false), x);
    check_computes_in_float32(std::make_shared<Conv2d>(6, 3, 3), x);
    check_computes_in_float32(std::make_shared<BatchNorm2d>(BatchNormSettings{6}), x);
    check_computes_in_float32(std::make_shared<LayerNorm>(std::vector<std::int64_t>{8}), x);
    check_computes_in_float32(std::make_shared<LSTM>(LstmSettings{8, 5}), randn({3, 4, 8}));
  }

  TEST_CASE("a wider layer widens its input, and gradients have the types of what they are of") {
    manual_seed(3);
    const Linear wide(3, 2);
    const_cast<Linear&>(wide).to(Dtype::f64);
    CHECK(wide(ones({1, 3})).dtype() == Dtype::f64);
    CHECK(wide(ones({1, 3}, Dtype::f16)).dtype() == Dtype::f64);

    Linear half(3, 2);
    half.to(Dtype::f16);
    Tensor x = ones({1, 3});
    x.requires_grad_();
    sum(half(x)).backward();
    CHECK(x.grad().dtype() == Dtype::f32);
    CHECK(half.tensor("weight").grad() == ones({2, 3}, Dtype::f16));
    CHECK(half.tensor("bias").grad() == ones({2}, Dtype::f16));
  }

  TEST_CASE("inputs that are no floating numbers are refused as before") {
    Linear half(3, 2);
    half.to(Dtype::f16);
    CHECK_THROWS_AS((void)half(ones({1, 3}, Dtype::i64)), DtypeError);
  }

  TEST_CASE("batch norm in training keeps running statistics of its own type") {
    manual_seed(3);
    BatchNorm2d half(2), wide(2);
    half.to(Dtype::bf16);
    const Tensor x = randn({4, 2, 3, 3});
    const Tensor y = half(x);
    CHECK(y.dtype() == Dtype::f32);
    CHECK(y == wide(x));
    CHECK(half.tensor("running_mean").dtype() == Dtype::bf16);
    CHECK(allclose(half.tensor("running_mean").to(Dtype::f32), wide.tensor("running_mean"),
                   Tolerance{.rtol = 1e-2, .atol = 1e-2}));
  }
}
