#include "coppice/sparsity/prune/streamed.h"

#include <doctest/doctest.h>

#include <limits>

#include "coppice/engine.h"
#include "coppice/engine/io/safetensors.h"
#include "coppice/nn.h"
#include "coppice/sparsity/prune/prune.h"
#include "engine/io/io_support.h"
#include "engine/levels.h"
#include "sparsity/refused.h"

using namespace coppice;
using namespace coppice::sparsity;
using namespace coppice::test;
using coppice::testing::refused;

namespace {

/// What global_unstructured() does to the same tensors.
TensorList wanted(const TensorList& tensors, const Amount& amount) {
  std::vector<nn::ModulePtr> modules;
  std::vector<prune::Target> targets;
  for (const Tensor& t : tensors) {
    modules.push_back(std::make_shared<nn::Identity>());
    modules.back()->register_parameter("t", t.clone());
    targets.emplace_back(modules.back().get(), "t");
  }
  prune::global_unstructured(targets, prune::L1Unstructured(amount, TieRule::lowest_index));
  TensorList out;
  for (const nn::ModulePtr& m : modules) out.push_back(m->tensor("t_mask").to(Dtype::boolean));
  return out;
}

TensorList some(std::int64_t rows, bool special) {
  TensorList out{randn({rows, 60}),     randn({rows / 2}).to(Dtype::f16),
                 Tensor::empty({0, 3}), randn({3, rows}).to(Dtype::bf16),
                 Tensor::of(0.5),       randn({rows * 5})};
  if (!special) return out;
  for (Tensor& t : out)
    for (std::int64_t i = 0; i < t.numel(); i += 3) {
      constexpr std::array values{
          0.0, -0.0, 1.0, -1.0, 0.5, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()};
      Tensor flat = t.reshape({-1});
      flat.set_({i}, values[static_cast<std::size_t>(i / 3) % values.size()]);
    }
  return out;
}

}  // namespace

TEST_SUITE("sparsity/prune/streamed") {
  TEST_CASE("the masks are those of global_unstructured, for 1, 2 and 7 threads") {
    const test::Settings before;
    manual_seed(21);
    for (const std::int64_t rows : {4, 300, 3000})
      for (const bool special : {false, true}) {
        const TensorList tensors = some(rows, special);
        for (const Amount& amount : {Amount(0.0), Amount(0.5), Amount(0.9), Amount(0.97), Amount(1.0), Amount(7)}) {
          const TensorList masks = wanted(tensors, amount);
          for (const int threads : {1, 2, 7}) {
            set_num_threads(threads);
            const TensorList got = prune::global_l1_bits(tensors, amount, 4096);
            REQUIRE(got.size() == masks.size());
            for (std::size_t i = 0; i < masks.size(); ++i) CHECK(got[i] == nn::pack_bits(masks[i]));
          }
        }
      }
  }

  TEST_CASE("tensors of a mapped file, whose pages are given back on the way") {
    const TempDir dir;
    manual_seed(22);
    write_safetensors(dir / "f.safetensors", {{"a", randn({500, 400})}, {"b", randn({300'000})}});
    const NamedTensors read = read_safetensors(dir / "f.safetensors");
    const TensorList tensors{read.at("a"), read.at("b")};
    const TensorList masks = wanted(tensors, 0.8), got = prune::global_l1_bits(tensors, 0.8, 1 << 16);
    CHECK(got[0] == nn::pack_bits(masks[0]));
    CHECK(got[1] == nn::pack_bits(masks[1]));
  }

  TEST_CASE("nothing, too much, and other types") {
    CHECK(prune::global_l1_bits({}, 0.5).empty());
    CHECK(prune::global_l1_bits({Tensor::empty({0})}, 0.5)[0].shape() == Shape{0});
    CHECK(refused<ValueError>([] { (void)prune::global_l1_bits({ones({2}), ones({3})}, 6); }));
    CHECK(refused<DtypeError>([] { (void)prune::global_l1_bits({ones({2}, Dtype::f64)}, 1); }));
    CHECK(refused<DtypeError>([] { (void)prune::global_l1_bits({ones({2}, Dtype::i32)}, 1); }));
  }
}
