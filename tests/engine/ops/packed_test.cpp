// Operations with a packed weight against those with the dense one. Formats, sizes and levels: packed_matrix_test.
#include "coppice/engine/ops/packed.h"

#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "support/sparse.h"

namespace {

using namespace coppice;
using coppice::testing::sparse;

constexpr Tolerance kClose{1e-5, 1e-5};

TEST_SUITE("engine/packed") {
  TEST_CASE("linear takes inputs of every rank but 0, in every format") {
    const Tensor w = sparse({6, 5}, 1), bias = sparse({6}, 2);
    for (const PackedFormat format : all_packed_formats()) {
      CAPTURE(format.name());
      const PackedMatrix packed = PackedMatrix::pack(w, format);
      for (const Shape& shape : {Shape{5}, Shape{3, 5}, Shape{2, 3, 5}, Shape{0, 5}}) {
        const Tensor x = sparse(shape, 3);
        CHECK(linear(x, packed, bias).shape() == linear(x, w, bias).shape());
        CHECK(allclose(linear(x, packed, bias), linear(x, w, bias), kClose));
        CHECK(allclose(linear(x, packed), linear(x, w), kClose));
      }
    }
  }

  TEST_CASE("conv2d with strides, padding and dilation, pointwise too, in every format") {
    for (const PackedFormat format : all_packed_formats())
      for (const std::int64_t kernel : {1, 3}) {
        CAPTURE(format.name());
        const Tensor w = sparse({4, 2, kernel, kernel}, 4), bias = sparse({4}, 5), x = sparse({3, 2, 8, 7}, 6);
        const PackedMatrix packed = PackedMatrix::pack(w.reshape({4, -1}), format);
        for (const ConvOptions& o : {ConvOptions{}, ConvOptions{.stride = {2}, .padding = {1}, .dilation = {2}}})
          CHECK(allclose(conv2d(x, packed, bias, {kernel, kernel}, o), conv2d(x, w, bias, o), kClose));
        CHECK(conv2d(narrow(x, 0, 0, 0), packed, bias, {kernel, kernel}, {}).size(0) == 0);
      }
  }

  TEST_CASE("gradients are refused when somebody asks for them, not before") {
    const PackedMatrix packed = PackedMatrix::pack(ones({2, 4}), "csr");
    const Tensor x = ones({1, 4}).requires_grad_(), image = ones({1, 1, 2, 2}).requires_grad_();
    const Tensor y = linear(x, packed), z = conv2d(image, packed, Tensor(), {2, 2}, {});
    CHECK(y.detach() == Tensor::of({{4, 4}}));
    CHECK_THROWS_WITH_AS(sum(y).backward(), doctest::Contains("[backward] linear: packed weights have no gradients"),
                         StateError);
    CHECK_THROWS_WITH_AS(sum(z).backward(), doctest::Contains("[backward] conv2d"), StateError);
    CHECK_FALSE(x.grad().defined());
  }

  TEST_CASE("what does not fit is refused") {
    const PackedMatrix packed = PackedMatrix::pack(ones({2, 8}), "bitmask");
    CHECK_THROWS_WITH_AS((void)linear(ones({3, 7}), packed), "[linear] needs x: [.., 8]; got (3, 7)", ShapeError);
    CHECK_THROWS_AS((void)linear(Tensor::of(1), packed), ShapeError);
    CHECK_THROWS_AS((void)linear(ones({3, 8}), packed, ones({3})), ShapeError);
    CHECK_THROWS_AS((void)linear(ones({3, 8}, Dtype::f64), packed), DtypeError);
    const Tensor x = ones({1, 2, 4, 4});
    CHECK_THROWS_AS((void)conv2d(x, packed, Tensor(), {3, 3}, {}), ValueError);
    CHECK_THROWS_AS((void)conv2d(x, packed, Tensor(), {0, 2}, {}), ValueError);
    CHECK_THROWS_AS((void)conv2d(x, packed, Tensor(), {2, 2}, {.groups = 2}), ValueError);
    CHECK_THROWS_AS((void)conv2d(ones({1, 3, 4, 4}), packed, Tensor(), {2, 2}, {}), ShapeError);
    CHECK_THROWS_AS((void)conv2d(x, packed, ones({3}), {2, 2}, {}), ShapeError);
    CHECK_THROWS_AS((void)conv2d(x.to(Dtype::f64), packed, Tensor(), {2, 2}, {}), DtypeError);
  }
}

}  // namespace
