#include "coppice/engine/ops/quantized.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <set>

#include "coppice/engine.h"
#include "support/op_cases.h"

namespace {

using namespace coppice;
using Integers = std::vector<std::int64_t>;

Integers integers_of(const Tensor& q) { return int_repr(q).to_vector<std::int64_t>(); }
Tensor column(std::initializer_list<double> values) { return Tensor::of(values); }

TEST_SUITE("engine/ops/quantized") {
  TEST_CASE("x is multiplied by the reciprocal of the scale, not divided") {
    CHECK(integers_of(quantize_per_tensor(column({0.273939937}), 0.00214854861, 0, Dtype::quint8)) == Integers{128});
  }

  TEST_CASE("halves go to even after the zero point is added") {
    const Tensor x = column({-2.5, -1.5, -0.5, 0.5, 1.5, 2.5});
    CHECK(integers_of(quantize_per_tensor(x, 1, 11, Dtype::quint8)) == Integers{8, 10, 10, 12, 12, 14});
    CHECK(integers_of(quantize_per_tensor(x, 1, 0, Dtype::qint8)) == Integers{-2, -2, 0, 0, 2, 2});
  }

  TEST_CASE("rounding and saturation of the whole type") {
    const Tensor x = column({-1e9, -129, -2.5, -1.5, -0.5, 0, 0.5, 1.5, 2.5, 127, 128, 300, 1e9});
    CHECK(integers_of(quantize_per_tensor(x, 1, 0, Dtype::qint8)) ==
          Integers{-128, -128, -2, -2, 0, 0, 0, 2, 2, 127, 127, 127, 127});
    CHECK(integers_of(quantize_per_tensor(x, 1, 10, Dtype::quint8)) ==
          Integers{0, 0, 8, 8, 10, 10, 10, 12, 12, 137, 138, 255, 255});
    // Also where the parameters came from a reduced range.
    CHECK(integers_of(quantize_per_tensor(column({4, 6, 9}), 0.0314960629, 0, Dtype::quint8)) ==
          Integers{127, 190, 255});
  }

  TEST_CASE("infinities go to the limits, NaN to the zero point") {
    constexpr float kInf = std::numeric_limits<float>::infinity();
    const Tensor x = column({kInf, -kInf, std::nan(""), 1e20, -1e20});
    CHECK(integers_of(quantize_per_tensor(x, 0.1, 7, Dtype::quint8)) == Integers{255, 0, 7, 255, 0});
    CHECK(integers_of(quantize_per_channel(x.reshape({1, 5}), column({0.1}), column({7}).to(Dtype::i64), 0,
                                           Dtype::quint8)) == Integers{255, 0, 7, 255, 0});
    CHECK(integers_of(quantize_per_tensor(x, 0.1, 7, Dtype::qint32)) ==
          Integers{2147483647, -2147483648LL, 7, 2147483647, -2147483648LL});
  }

  TEST_CASE("weights per channel, and what rounding does to small ones") {
    const Tensor w = Tensor::of({{0.5, -1, 0.25}, {0, 0, 0}, {0.1, 0.2, 0.3}});
    const Tensor scales = column({0.0078431377, 1.1920929e-07, 0.0023529413}), zeros = column({0, 0, 0}).to(Dtype::i64);
    const Tensor q = quantize_per_channel(w, scales, zeros, 0, Dtype::qint8);
    CHECK(integers_of(q) == Integers{64, -127, 32, 0, 0, 0, 42, 85, 127});
    CHECK(
        allclose(dequantize(q),
                 Tensor::of({{0.50196081, -0.99607849, 0.25098041}, {0, 0, 0}, {0.09882353, 0.20000002, 0.29882354}})));
    CHECK(integers_of(quantize_per_tensor(column({1.0, 0.003, -0.0039, 0.0040}), 0.0078431377, 0, Dtype::qint8)) ==
          Integers{127, 0, 0, 1});
  }

  TEST_CASE("zero stays exactly zero for every zero point") {
    for (const std::int64_t z : {0, 1, 7, 128, 255})
      CHECK(dequantize(quantize_per_tensor(column({0, -0.0}), 0.3, z, Dtype::quint8)) == column({0, 0}));
  }

  TEST_CASE("four bits: two values to a byte, the first in the low half") {
    const Tensor x = Tensor::of({{0, 1, 2, 3}, {15, 20, -1, 7}});
    const Tensor q = quantize_per_channel(x, column({1, 1}), column({0, 0}), 0, Dtype::quint4x2);
    CHECK(integers_of(q) == Integers{0, 1, 2, 3, 15, 15, 0, 7});
    CHECK(q.nbytes() == 4);
    CHECK(static_cast<int>(q.bytes()[0]) == 0x10);
    CHECK(static_cast<int>(q.bytes()[2]) == 0xff);
    CHECK(dequantize(q) == Tensor::of({{0, 1, 2, 3}, {15, 15, 0, 7}}));
    CHECK_THROWS_AS((void)quantize_per_channel(Tensor::of({{1, 2, 3}}), column({1}), column({0}), 0, Dtype::quint4x2),
                    ShapeError);
  }

  TEST_CASE("empty and 0-d tensors") {
    const Tensor none = quantize_per_tensor(Tensor::empty({0, 3}), 1, 0, Dtype::quint8);
    CHECK(none.shape() == Shape{0, 3});
    CHECK(dequantize(none).shape() == Shape{0, 3});
    CHECK(dequantize(quantize_per_tensor(Tensor::of(1.0), 0.5, 0, Dtype::qint8)).item() == 1);
    CHECK(quantize_per_channel(Tensor::empty({2, 0}), column({1, 1}), column({0, 0}).to(Dtype::i64), 0, Dtype::qint8)
              .numel() == 0);
  }

  TEST_CASE("what cannot be quantised is refused") {
    const Tensor x = Tensor::of({{1, 2}, {3, 4}}), one = column({1, 1}), none = column({0, 0}).to(Dtype::i64);
    CHECK_THROWS_WITH_AS((void)quantize_per_tensor(x.to(Dtype::f64), 1, 0, Dtype::qint8),
                         "[quantize_per_tensor] quantises float32 tensors; got float64", DtypeError);
    CHECK_THROWS_AS((void)quantize_per_tensor(quantize_per_tensor(x, 1, 0, Dtype::qint8), 1, 0, Dtype::qint8),
                    DtypeError);
    CHECK_THROWS_AS((void)quantize_per_tensor(x, 1, 0, Dtype::i8), DtypeError);
    CHECK_THROWS_AS((void)quantize_per_tensor(x, 1, 300, Dtype::quint8), ValueError);
    CHECK_THROWS_AS((void)quantize_per_tensor(x, 0, 0, Dtype::quint8), ValueError);
    CHECK_THROWS_AS((void)quantize_per_channel(x, one, none, 2, Dtype::qint8), IndexError);
    CHECK_THROWS_AS((void)quantize_per_channel(x, one, none, -1, Dtype::qint8), IndexError);
    CHECK_THROWS_AS((void)quantize_per_channel(x, column({1}), column({0}).to(Dtype::i64), 0, Dtype::qint8),
                    ShapeError);
    CHECK_THROWS_AS((void)quantize_per_channel(x, one.to(Dtype::i64), none, 0, Dtype::qint8), DtypeError);
    CHECK_THROWS_AS((void)int_repr(x), StateError);
    CHECK(dequantize(x).is(x));
    CHECK(dequantize(x.to(Dtype::f16)).dtype() == Dtype::f32);
  }

  TEST_CASE("comparisons are of values") {
    const Tensor q = make_quantized(Tensor::of({0, 1, 2}).to(Dtype::u8), Dtype::quint8, QParams::per_tensor(0.5, 1));
    CHECK(eq(q, Tensor::of(0)) == Tensor::of({0, 1, 0}).to(Dtype::boolean));
    CHECK(lt(q, Tensor::of(0.25)) == Tensor::of({1, 1, 0}).to(Dtype::boolean));
    CHECK(eq(q, quantize_per_tensor(dequantize(q), 0.25, 9, Dtype::qint8)) == ones({3}, Dtype::boolean));
  }

  TEST_CASE("relu is the larger of value and zero point, max_pool2d takes the largest integer") {
    const Tensor q = make_quantized(Tensor::of({3, 7, 9, 0}).to(Dtype::u8), Dtype::quint8, QParams::per_tensor(0.5, 7));
    CHECK(integers_of(relu(q)) == Integers{7, 7, 9, 7});
    CHECK(q_zero_point(relu(q)) == 7);
    const Tensor pooled = max_pool2d(q.reshape({1, 2, 2}), {.kernel = {2, 2}});
    CHECK(integers_of(pooled) == Integers{9});
    CHECK(q_scale(pooled) == 0.5);
    const Tensor channels =
        quantize_per_channel(Tensor::of({{1, 2}}), column({1}), column({0}).to(Dtype::i64), 0, Dtype::qint8);
    CHECK_THROWS_AS((void)relu(channels), DtypeError);
  }

  TEST_CASE("cat joins integers, or values where parameters differ, with those of the first") {
    const Tensor a = quantize_per_tensor(column({0.1, 0.2}), 0.1, 3, Dtype::quint8);
    const Tensor b = quantize_per_tensor(column({0.4, 100}), 0.2, 7, Dtype::quint8);
    CHECK(integers_of(cat_tensors({a, a}, 0)) == Integers{4, 5, 4, 5});
    CHECK(integers_of(cat_tensors({a, b}, 0)) == Integers{4, 5, 7, 255});
    CHECK_THROWS_AS((void)cat_tensors({a, quantize_per_tensor(column({1}), 0.1, 3, Dtype::qint8)}, 0), DtypeError);
    CHECK_THROWS_AS((void)cat_tensors({a, column({1})}, 0), DtypeError);
  }

  TEST_CASE("every other operation refuses quantised tensors by its name") {
    // Those that say what they do with quantised tensors, and two that pass them on: of the same type, of the same
    // bytes.
    const std::set<std::string> take{"eq",         "ne",         "lt",        "le",    "gt",      "ge",
                                     "relu",       "max_pool2d", "cat",       "clone", "reshape", "int_repr",
                                     "dequantize", "flatten",    "unflatten", "isnan", "stack"};
    std::size_t refused = 0;
    for (const auto& c : testing::op_cases()) {
      if (take.contains(c.op)) continue;
      CAPTURE(c.op);
      TensorList inputs = c.inputs;
      bool any = false;
      for (Tensor& t : inputs)
        if (is_floating(t.dtype())) {
          t = quantize_per_tensor(t.to(Dtype::f32), 0.1, 3, Dtype::quint8);
          any = true;
        }
      if (!any) continue;
      try {
        (void)run(c, inputs);
        FAIL_CHECK("took a quantised tensor");
      } catch (const DtypeError& e) {
        const std::string text = e.what();
        CAPTURE(text);
        const std::string by = c.op == "cross_entropy" ? "log_softmax" : c.op == "lstm_layer" ? "lstm" : c.op;
        CHECK(text.starts_with("[" + by + "]"));
        ++refused;
      }
    }
    CHECK(refused > 100);
  }

  TEST_CASE("the same integers for any number of threads") {
    Generator generator(3);
    Tensor x = Tensor::empty({300, 1000});
    generator.normal(x.mutable_data<float>());
    const int before = num_threads();
    set_num_threads(1);
    const Tensor alone = quantize_per_tensor(x, 0.01, 5, Dtype::qint8);
    for (const int threads : {2, 7}) {
      set_num_threads(threads);
      CHECK(quantize_per_tensor(x, 0.01, 5, Dtype::qint8) == alone);
      CHECK(dequantize(alone) == dequantize(quantize_per_tensor(x, 0.01, 5, Dtype::qint8)));
    }
    set_num_threads(before);
  }
}

}  // namespace
