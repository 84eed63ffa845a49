#include "coppice/engine/quantized_tensor.h"

#include <doctest/doctest.h>

#include "coppice/engine.h"

namespace {

using namespace coppice;

Tensor per_tensor() { return quantize_per_tensor(Tensor::of({{0.1, 0.2}, {0.3, -0.4}}), 0.1, 3, Dtype::quint8); }
Tensor per_channel() {
  return quantize_per_channel(Tensor::of({{0.1, 0.2}, {0.3, -0.4}}), Tensor::of({0.1, 0.2}),
                              Tensor::of({0, 1}).to(Dtype::i64), 0, Dtype::qint8);
}

TEST_SUITE("engine/quantized_tensor") {
  TEST_CASE("parameters are read as PyTorch names them") {
    const Tensor q = per_tensor(), c = per_channel();
    CHECK(qscheme(q) == QScheme::per_tensor_affine);
    CHECK(q_scale(q) == 0.1);
    CHECK(q_zero_point(q) == 3);
    CHECK(qscheme(c) == QScheme::per_channel_affine);
    CHECK(q_per_channel_scales(c).dtype() == Dtype::f64);
    CHECK(q_per_channel_zero_points(c) == Tensor::of({0, 1}).to(Dtype::i64));
    CHECK(q_per_channel_axis(c) == 0);
    CHECK_THROWS_WITH_AS((void)q_scale(c), "[q_scale] the tensor is quantised per_channel_affine", StateError);
    CHECK_THROWS_AS((void)q_per_channel_scales(q), StateError);
    CHECK_THROWS_AS((void)q_scale(Tensor::of({1})), StateError);
  }

  TEST_CASE("copies, views and shapes keep the parameters") {
    const Tensor q = per_tensor(), c = per_channel();
    for (const Tensor& t : {q, c}) {
      CHECK(t.clone() == t);
      CHECK_FALSE(t.clone().shares_storage(t));
      CHECK(t.detach().qparams() == t.qparams());
    }
    CHECK(q.reshape({4}).qparams() == q.qparams());
    CHECK(c.reshape({2, 1, 2}).qparams() == c.qparams());
    CHECK_THROWS_WITH_AS((void)c.reshape({4}),
                         "[reshape] (2, 2) has a scale for each index of axis 0, which (4,) does not keep", ShapeError);
    CHECK_FALSE(q.requires_grad());
    CHECK_THROWS_AS(q.clone().requires_grad_(), DtypeError);
    CHECK_FALSE(q == per_tensor().clone().copy_(Tensor::of({{1, 1}, {1, 1}})));
  }

  TEST_CASE("elements are values") {
    const Tensor q = per_tensor();
    CHECK(q.at({1, 1}) == doctest::Approx(-0.3));  // the smallest that 0.1 and 3 reach
    CHECK(q.to_vector<double>()[0] == doctest::Approx(0.1));
    CHECK(quantize_per_tensor(Tensor::of({2}), 1, 0, Dtype::qint8).item() == 2);
    CHECK(to_string(quantize_per_tensor(Tensor::of({2}), 1, 5, Dtype::qint8)) ==
          "tensor([2.0000], dtype=qint8, scale=1, zero_point=5)");
    CHECK(to_string(per_channel()).ends_with("dtype=qint8, per_channel_affine, 2 scales along axis 0)"));
  }

  TEST_CASE("writing takes values with the parameters that are there, or integers with theirs") {
    Tensor q = per_tensor();
    q.copy_(Tensor::of({{0, 0.1}, {0.2, 100}}));
    CHECK(int_repr(q) == Tensor::of({{3, 4}, {5, 255}}).to(Dtype::u8));
    const Tensor other = quantize_per_tensor(Tensor::of({{1, 2}, {3, 4}}), 0.5, 0, Dtype::quint8);
    q.copy_(other);
    CHECK(q == other);
    q.fill_(1);
    CHECK(int_repr(q) == full({2, 2}, 2, Dtype::u8));
    q.set_({0, 1}, 1.5);
    CHECK(int_repr(q).at({0, 1}) == 3);
    CHECK_THROWS_AS(q.copy_(per_channel()), DtypeError);
    CHECK_THROWS_AS(ones({2, 2}).copy_(q), DtypeError);
    CHECK_THROWS_WITH_AS(
        q.mul_(2), "[mul_] quint8 tensors are not taken here; dequantize() gives their values as float32", DtypeError);
    CHECK_THROWS_AS(q.add_(Tensor::of(1)), DtypeError);
  }

  TEST_CASE("one element is written alone") {
    Tensor wide = make_quantized(Tensor::from(std::vector<std::int32_t>{16777217, 0}, Shape{2}), Dtype::qint32,
                                 QParams::per_tensor(1, 0));
    wide.set_({1}, 5);
    CHECK(int_repr(wide) == Tensor::from(std::vector<std::int32_t>{16777217, 5}, Shape{2}));
    Tensor c = per_channel();
    c.set_({1, 0}, 0.4);
    CHECK(int_repr(c).at({1, 0}) == 3);
    Tensor four = quantize_per_channel(Tensor::of({{1, 2}, {3, 4}}), Tensor::of({1, 1}), Tensor::of({0.0, 0.0}), 0,
                                       Dtype::quint4x2);
    four.set_({0, 1}, 9);
    four.set_({1, 0}, 20);
    CHECK(int_repr(four) == Tensor::of({{1, 9}, {15, 4}}).to(Dtype::u8));
    CHECK_THROWS_AS((void)four.reshape({2, 2, 1}), ShapeError);
    CHECK(count_nonzero(four) == 4);
    CHECK(count_nonzero(quantize_per_tensor(Tensor::of({0, 1, 0}), 0.5, 3, Dtype::quint8)) == 1);
  }

  TEST_CASE("types are not converted silently") {
    const Tensor q = per_tensor();
    CHECK(q.to(Dtype::quint8).is(q));
    CHECK_THROWS_AS((void)q.to(Dtype::f32), DtypeError);
    CHECK_THROWS_WITH_AS((void)ones({2}).to(Dtype::qint8),
                         "[to] float32 becomes qint8 by quantize_per_tensor() or quantize_per_channel()", DtypeError);
    CHECK_THROWS_WITH_AS((void)Tensor::empty({2}, Dtype::qint8),
                         "[Tensor::empty] a qint8 tensor needs a scale and a zero point", DtypeError);
    CHECK_THROWS_AS((void)zeros({2}, Dtype::quint8), DtypeError);
    CHECK_THROWS_AS((void)Tensor::empty({2}, Dtype::f32, QParams::per_tensor(1, 0)), DtypeError);
    CHECK_THROWS_AS((void)q.data<std::uint8_t>(), DtypeError);
  }

  TEST_CASE("made from integers") {
    const Tensor i = Tensor::of({{1, 2}, {3, 4}}).to(Dtype::u8);
    CHECK(int_repr(make_quantized(i, Dtype::quint8, QParams::per_tensor(1, 0))) == i);
    const QParamsPtr floats = QParams::per_channel_float({1, 1}, {0, 0}, 0);
    CHECK(int_repr(make_quantized(i, Dtype::quint4x2, floats)) == i);
    CHECK_THROWS_AS((void)make_quantized(full({2, 2}, 16, Dtype::u8), Dtype::quint4x2, floats), ValueError);
    CHECK_THROWS_AS((void)make_quantized(i, Dtype::qint8, QParams::per_tensor(1, 0)), DtypeError);
    CHECK_THROWS_AS((void)make_quantized(i, Dtype::u8, QParams::per_tensor(1, 0)), DtypeError);
  }

  TEST_CASE("quantize_like takes the parameters of another") {
    CHECK(quantize_like(Tensor::of({{0.1, 0.2}, {0.3, -0.4}}), per_channel()) == per_channel());
    CHECK_THROWS_AS((void)quantize_like(Tensor::of({{0.1, 0.2}}), per_channel()), ShapeError);
    CHECK_THROWS_AS((void)quantize_like(ones({1}), ones({1})), StateError);
  }
}

}  // namespace
