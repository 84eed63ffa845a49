// Embeddings and their bags: padding, offsets, refusals.
#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "support/approx.h"

using namespace coppice;
using namespace coppice::nn;
using coppice::testing::differs;

TEST_SUITE("nn/layers/embedding") {
  TEST_CASE("Embedding: negative padding counts from the end and gets no gradient") {
    Embedding m(4, 2, -1);
    CHECK(m.arguments().integer("padding_idx") == 3);
    const Tensor index = Tensor::from(std::vector<std::int64_t>{3, 0}, {2});
    sum(m(index)).backward();
    CHECK(m.tensor("weight").grad() == Tensor::of({{1, 1}, {0, 0}, {0, 0}, {0, 0}}));
    CHECK_THROWS_AS((void)m(Tensor::from(std::vector<std::int64_t>{4}, {1})), IndexError);
    CHECK_THROWS_AS((void)m(Tensor::from(std::vector<std::int64_t>{-1}, {1})), IndexError);
    CHECK_THROWS_AS((void)m(ones({2})), DtypeError);
    CHECK_THROWS_AS(Embedding(4, 2, 4), ValueError);
    CHECK_THROWS_AS(Embedding(4, 2, -5), ValueError);
    CHECK_THROWS_AS(Embedding(-1, 2), ValueError);
  }

  TEST_CASE("EmbeddingBag: bags as rows equal bags by offsets") {
    manual_seed(2);
    for (const BagMode mode : {BagMode::sum, BagMode::mean, BagMode::max}) {
      const EmbeddingBag m(5, 3, mode);
      const Tensor index = Tensor::from(std::vector<std::int64_t>{0, 1, 4, 4, 2, 3}, {6});
      const Tensor offsets = Tensor::from(std::vector<std::int64_t>{0, 3}, {2});
      CHECK(m(index.reshape({2, 3})) == m({index, offsets})[0]);
    }
    const EmbeddingBag m(5, 3);
    CHECK_THROWS_AS((void)m(TensorList{Tensor::from(std::vector<std::int64_t>{0}, {1})}), ValueError);
  }
}
