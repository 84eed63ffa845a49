#include "coppice/nn/packed/packed_layer.h"

#include <doctest/doctest.h>

#include "coppice/engine/autograd.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/nn.h"
#include "support/approx.h"
#include "support/sparse.h"

using namespace coppice;
using namespace coppice::nn;
using coppice::testing::differs;
using coppice::testing::sparse;

TEST_SUITE("nn/packed") {
  TEST_CASE("all zeros, a single row, no zeros: nothing is special") {
    const NoGrad off;
    for (const PackedFormat format : packing_formats())
      for (const Tensor& w : {zeros({5, 4}), ones({1, 7}), ones({17, 1}), ones({20, 33})}) {
        CAPTURE(format.name());
        CAPTURE(to_string(w.shape()));
        const auto packed = PackedLinear::from_dense(w, {}, format);
        CHECK(packed->unpacked() == w);
        const Tensor x = ones({3, w.size(1)});
        CHECK(differs((*packed)(x), linear(x, w, {}), Tolerance{1e-6, 1e-6}) == "");
      }
  }

  TEST_CASE("packed layers are listed with their paths, in the order of the modules") {
    const auto first = PackedLinear::from_dense(ones({2, 2}), {}, "csr");
    const auto second = PackedLinear::from_dense(ones({2, 2}), {}, "bitmask");
    const auto inner = std::make_shared<Sequential>(std::initializer_list<ModulePtr>{std::make_shared<ReLU>(), second});
    const Sequential model{first, std::make_shared<Linear>(2, 2), inner};
    const auto found = packed_layers(model);
    REQUIRE(found.size() == 2);
    CHECK(found[0].first == "0");
    CHECK(found[0].second == first.get());
    CHECK(found[1].first == "2.1");
    CHECK(found[1].second == second.get());
    CHECK(packed_layers(*first).size() == 1);
    CHECK(packed_layers(Linear(2, 2)).empty());
  }

  TEST_CASE("a clone shares nothing that could change, and runs") {
    const auto packed = PackedLinear::from_dense(sparse({6, 5}, 7), ones({6}), "csr");
    const ModulePtr copy = packed->clone();
    const Tensor x = sparse({2, 5}, 8);
    const Tensor before = (*packed)(x);
    CHECK((*copy)(x) == before);
    CHECK(copy->arguments().integer("out_features") == 6);
    for (const auto& [name, tensor] : copy->own_buffers()) {
      CHECK_FALSE(tensor.shares_storage(*packed->own_buffers().find(name)));
      Tensor handle = tensor;
      if (is_floating(tensor.dtype())) handle.zero_();
    }
    CHECK((*copy)(x) == zeros({2, 6}));
    CHECK((*packed)(x) == before);
  }

  TEST_CASE("what cannot be packed is refused") {
    CHECK_THROWS_AS((void)PackedLinear::from_dense(ones({2}), {}, "csr"), ShapeError);
    CHECK_THROWS_AS((void)PackedLinear::from_dense(ones({2, 2}, Dtype::f64), {}, "csr"), DtypeError);
    CHECK_THROWS_AS((void)PackedLinear::from_dense(ones({2, 2}), {}, "dense"), ValueError);
    CHECK_THROWS_AS((void)PackedConv2d::from_dense(ones({2, 2}), {}, {}, "csr"), ShapeError);
    CHECK_THROWS_AS((void)PackedConv2d::from_dense(ones({2, 1, 1, 1}), {}, {.groups = 2}, "csr"), NotSupported);
  }

  TEST_CASE("packed layers flush subnormal weights") {
    const auto packed = PackedLinear::from_dense(Tensor::of({{1e-40, 1}}), {}, "csr");
    CHECK(packed->weight().nonzeros() == 1);
    CHECK(packed->unpacked() == Tensor::of({{0, 1}}));
  }
}
