// PackedConv2d against Conv2d, and what has a packed form.
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

TEST_SUITE("nn/packed/conv") {
  TEST_CASE("PackedConv2d gives what Conv2d gives, with stride, padding and dilation") {
    const NoGrad off;
    for (const ConvOptions& o : {ConvOptions{}, ConvOptions{.stride = {2, 1}, .padding = {1, 2}},
                                 ConvOptions{.padding = {2}, .dilation = {2}}}) {
      Conv2d dense(ConvSettings{3, 10, {3, 2}, o, true});
      load_state_dict(dense, NamedTensors{{"weight", sparse({10, 3, 3, 2}, 4)}, {"bias", sparse({10}, 5)}});
      const Tensor x = sparse({4, 3, 9, 8}, 6);
      for (const PackedFormat format : packing_formats()) {
        CAPTURE(format.name());
        const auto packed =
            PackedConv2d::from_dense(dense.tensor("weight"), dense.tensor("bias"), dense.options(), format);
        CHECK(packed->unpacked() == dense.tensor("weight").detach());
        CHECK(differs((*packed)(x), dense(x), Tolerance{1e-5, 1e-5}) == "");
      }
    }
  }

  TEST_CASE("one group, and channels and kernels that are not empty nor too large, have a packed form") {
    CHECK(PackedConv2d::takes({4, 3, 3, 3}, {}));
    CHECK_FALSE(PackedConv2d::takes({4, 3, 3, 3}, {.groups = 2}));
    CHECK_FALSE(PackedConv2d::takes({4, 0, 3, 3}, {}));
    CHECK_FALSE(PackedConv2d::takes({0, 3, 3, 3}, {}));
    CHECK_FALSE(PackedConv2d::takes({4, 3, 3, (std::int64_t{1} << 15) + 1}, {}));
    CHECK_THROWS_AS((void)PackedConv2d::from_dense(zeros({4, 0, 3, 3}), {}, {}, "csr"), ValueError);
  }
}
