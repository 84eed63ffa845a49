// PackedLinear against Linear.
#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "support/approx.h"
#include "support/sparse.h"

using namespace coppice;
using namespace coppice::nn;
using coppice::testing::differs;
using coppice::testing::sparse;

TEST_SUITE("nn/packed/linear") {
  TEST_CASE("PackedLinear gives what Linear gives, for inputs of every rank") {
    Linear dense(37, 21);
    load_state_dict(dense, NamedTensors{{"weight", sparse({21, 37}, 1)}, {"bias", sparse({21}, 2)}});
    const NoGrad off;
    for (const PackedFormat format : packing_formats()) {
      CAPTURE(format.name());
      const auto packed = PackedLinear::from_dense(dense.tensor("weight"), dense.tensor("bias"), format);
      CHECK(packed->unpacked() == dense.tensor("weight").detach());
      CHECK(packed->parameters().empty());
      for (const Shape& shape : {Shape{37}, Shape{1, 37}, Shape{5, 37}, Shape{64, 37}, Shape{2, 3, 37}, Shape{0, 37}}) {
        CAPTURE(to_string(shape));
        const Tensor x = sparse(shape, 3);
        CHECK(differs((*packed)(x), dense(x), Tolerance{1e-5, 1e-5}) == "");
      }
      const auto bare = PackedLinear::from_dense(dense.tensor("weight"), {}, format);
      CHECK(differs((*bare)(ones({2, 37})), linear(ones({2, 37}), dense.tensor("weight"), {}), Tolerance{1e-5, 1e-5}) ==
            "");
      CHECK_THROWS_AS((void)(*packed)(ones({2, 36})), ShapeError);
    }
  }
}
