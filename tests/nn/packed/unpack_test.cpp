#include "coppice/nn/packed/unpack.h"

#include <doctest/doctest.h>

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/engine/error.h"
#include "coppice/engine/random.h"
#include "coppice/nn/layers/activation.h"
#include "coppice/nn/layers/container.h"
#include "coppice/nn/layers/conv.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/nn/packed/conv.h"
#include "coppice/nn/packed/linear.h"
#include "coppice/nn/state_dict.h"

using namespace coppice;
using namespace coppice::nn;

TEST_SUITE("nn/packed/unpack") {
  TEST_CASE("a layer comes back with its type, settings and values, in every format, with and without bias") {
    manual_seed(1);
    const Conv2d conv(Arguments{{"in_channels", std::int64_t{2}},
                                {"out_channels", std::int64_t{5}},
                                {"kernel_size", std::vector<std::int64_t>{3, 1}},
                                {"stride", std::int64_t{2}},
                                {"padding", std::vector<std::int64_t>{1, 0}},
                                {"dilation", std::int64_t{1}}});
    const Linear linear(6, 7, false);
    for (const PackedFormat format : packing_formats()) {
      CAPTURE(format);
      const auto packed_conv =
          PackedConv2d::from_dense(conv.tensor("weight"), conv.tensor("bias"), conv.options(), format);
      const ModulePtr dense = unpacked_layer(*packed_conv);
      CHECK(dense->type_name() == "Conv2d");
      CHECK(dense->tensor("weight").detach() == conv.tensor("weight").detach());
      CHECK(dense->tensor("bias").detach() == conv.tensor("bias").detach());
      CHECK(dense->tensor("weight").requires_grad());
      const Tensor x = randn({2, 2, 8, 4});
      CHECK(((*dense)(x).detach() == conv(x).detach()));
      const ModulePtr flat = unpacked_layer(*PackedLinear::from_dense(linear.tensor("weight"), Tensor(), format));
      CHECK(flat->type_name() == "Linear");
      CHECK(flat->tensor("weight").detach() == linear.tensor("weight").detach());
      CHECK_FALSE(flat->find_tensor("bias").defined());
    }
  }

  TEST_CASE("all packed layers of a model are unpacked where they stand, and random numbers stay as they are") {
    const auto packed = PackedLinear::from_dense(eye(4), ones({4}), "csr");
    packed->eval();
    const auto relu = std::make_shared<ReLU>();
    const auto model = std::make_shared<Sequential>(std::initializer_list<ModulePtr>{packed, relu, packed});
    const Generator::State before = default_generator().state();
    CHECK(unpack(model) == model);
    CHECK(default_generator().state() == before);
    CHECK(model->child("0") == model->child("2"));
    CHECK(model->child("1") == relu);
    CHECK_FALSE(model->child("0")->training());
    CHECK(state_dict(*model).names() == std::vector<std::string>{"0.weight", "0.bias", "2.weight", "2.bias"});
    CHECK(unpack(packed)->type_name() == "Linear");
  }

  TEST_CASE("the dense bias is a tensor of its own") {
    const auto packed = PackedLinear::from_dense(eye(2), ones({2}), "bitmask");
    const ModulePtr dense = unpacked_layer(*packed);
    const NoGrad off;
    dense->tensor("bias").fill_(7);
    CHECK(packed->tensor("bias") == ones({2}));
  }

  TEST_CASE("a few bytes that describe much memory are refused with nothing changed") {
    const auto packed = PackedLinear::from_dense(coppice::zeros({1000, 1000}), Tensor(), "csr");
    const auto model = std::make_shared<Sequential>(std::initializer_list<ModulePtr>{packed});
    Limits limits;
    limits.extra_bytes = 1000;
    MemoryBudget budget(Source{"unpack", "small.safetensors"}, limits, 0);
    CHECK_THROWS_AS(unpack(model, &budget), LimitError);
    CHECK(model->child("0") == packed);
  }
}
