/// Packed models run in any grad mode; gradients through a packed layer are refused when they are asked for.
#include <doctest/doctest.h>

#include <thread>

#include "coppice/nn.h"

using namespace coppice;
using namespace coppice::nn;

namespace {

const Tensor kWeight = Tensor::of({{0, 2}, {3, 0}});

std::shared_ptr<PackedLinear> packed() { return PackedLinear::from_dense(kWeight, Tensor::of({1, 1}), "csr"); }

}  // namespace

TEST_SUITE("nn/packed_gradients") {
  TEST_CASE("a packed model with dense layers before the packed ones runs without a guard") {
    Sequential model{
        {"head", std::make_shared<Linear>(2, 2)},
        {"body", std::make_shared<Sequential>(std::initializer_list<ModulePtr>{std::make_shared<ReLU>(), packed()})}};
    model.eval();
    const Tensor y = model(ones({1, 2}));
    Tensor without;
    {
      const NoGrad off;
      without = model(ones({1, 2}));
    }
    CHECK(y == without);
    CHECK_FALSE(without.requires_grad());
    CHECK_THROWS_WITH_AS(sum(y).backward(), doctest::Contains("'body.1' (PackedLinear) is packed and has no gradients"),
                         StateError);
    for (const Tensor& p : model.parameters()) CHECK_FALSE(p.grad().defined());
  }

  TEST_CASE("a convolution is named as well, and a layer that is called alone by its type") {
    const auto conv = PackedConv2d::from_dense(ones({1, 1, 1, 1}), {}, {}, "csr");
    Tensor x = ones({1, 1, 2, 2});
    x.requires_grad_();
    Sequential model{std::make_shared<Conv2d>(1, 1, 1), conv};
    CHECK_THROWS_WITH_AS(sum(model(ones({1, 1, 2, 2}))).backward(), doctest::Contains("'1' (PackedConv2d)"),
                         StateError);
    CHECK_THROWS_WITH_AS(sum((*conv)(x)).backward(), doctest::Contains("a PackedConv2d is packed"), StateError);
    CHECK_FALSE(x.grad().defined());
  }

  TEST_CASE("layers behind a packed one train: no gradient has to pass it") {
    const auto head = std::make_shared<Linear>(2, 1);
    Sequential model{packed(), head};
    sum(model(ones({1, 2}))).backward();
    CHECK(head->tensor("weight").grad() == Tensor::of({{3, 4}}));
  }

  TEST_CASE("the operations alone run too, and refuse at backward") {
    Tensor x = ones({1, 2});
    x.requires_grad_();
    const PackedMatrix w = PackedMatrix::pack(kWeight, "bitmask");
    const Tensor y = linear(x, w);
    CHECK(y == Tensor::of({{2, 3}}));
    CHECK_THROWS_WITH_AS(sum(y).backward(), doctest::Contains("linear: packed weights have no gradients"), StateError);
    Tensor image = ones({1, 2, 1, 1});
    image.requires_grad_();
    CHECK_THROWS_AS(sum(conv2d(image, w, {}, {1, 1}, {})).backward(), StateError);
  }

  TEST_CASE("many threads run one const packed layer, changed or not since the last call") {
    const auto shared = packed();
    shared->tensor("values").copy_(Tensor::of({5, 6}));
    const Module& layer = *shared;
    std::vector<int> right(4, 0);
    std::vector<std::thread> threads;
    for (int& count : right)
      threads.emplace_back([&layer, &count] {
        for (int i = 0; i < 100; ++i) count += layer(ones({1, 2})) == Tensor::of({{6, 7}}) ? 1 : 0;
      });
    for (std::thread& t : threads) t.join();
    CHECK(right == std::vector<int>(4, 100));
  }
}
