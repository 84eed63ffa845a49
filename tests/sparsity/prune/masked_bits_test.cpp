#include "coppice/sparsity/prune/masked_bits.h"

#include <doctest/doctest.h>

#include <cstring>
#include <limits>
#include <vector>

#include "coppice/engine.h"
#include "coppice/engine/io/safetensors.h"
#include "coppice/nn.h"
#include "engine/io/io_support.h"
#include "engine/levels.h"
#include "sparsity/refused.h"

using namespace coppice;
using namespace coppice::sparsity;
using namespace coppice::test;
using coppice::testing::refused;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity(), kNan = std::numeric_limits<double>::quiet_NaN();

/// Bytes first .. first + count of what write_masked() makes of a whole tensor, in pieces of `piece` bytes.
std::vector<std::byte> in_pieces(const Tensor& values, const Tensor& bits, std::uint64_t piece) {
  std::vector<std::byte> out(values.nbytes());
  for (std::uint64_t at = 0; at < out.size(); at += piece)
    prune::write_masked(values, bits, at,
                        std::span(out).subspan(at, static_cast<std::size_t>(std::min(piece, out.size() - at))));
  return out;
}

bool same_bytes(const std::vector<std::byte>& a, const Tensor& b) {
  return a.size() == b.nbytes() && (a.empty() || std::memcmp(a.data(), b.bytes(), a.size()) == 0);
}

}  // namespace

TEST_SUITE("sparsity/prune/masked_bits") {
  TEST_CASE("the bytes and counts are those of the product, for every floating type, length and number of threads") {
    const test::Settings before;
    manual_seed(3);
    for (const Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::f16, Dtype::bf16})
      for (const std::int64_t n : {0, 1, 7, 8, 9, 2047, 2049, 600'001}) {
        CAPTURE(n);
        Tensor values = randn({n}).to(dtype);
        if (n > 8) {
          values.set_({1}, -0.0);
          values.set_({5}, 0.0);
        }
        const Tensor mask = lt(rand({n}), Tensor::of(0.3)), bits = nn::pack_bits(mask);
        const Tensor product = nn::apply_mask(values, mask);
        CHECK(same_bytes(in_pieces(values, bits, 64), product));
        CHECK(same_bytes(in_pieces(values, bits, 1 << 20), product));
        for (const int threads : {1, 2, 7}) {
          set_num_threads(threads);
          const prune::MaskedCounts counts = prune::count_masked(values, bits);
          CHECK(counts.zeros == n - count_nonzero(product));
          CHECK(counts.pruned == n - count_nonzero(mask));
          CHECK_FALSE(counts.nan);
        }
      }
  }

  TEST_CASE("infinity times 0 is NaN in the product, and only a value that is NaN counts as one") {
    const Tensor bits = nn::pack_bits(Tensor::of({0, 1, 0, 1, 0}));
    const Tensor infinite = Tensor::of({kInf, kInf, -1.0, 0.0, 2.0});
    const prune::MaskedCounts counts = prune::count_masked(infinite, bits);
    CHECK(counts.zeros == 3);
    CHECK(counts.pruned == 3);
    CHECK_FALSE(counts.nan);
    CHECK(same_bytes(in_pieces(infinite, bits, 64), nn::apply_mask(infinite, Tensor::of({0, 1, 0, 1, 0}))));
    CHECK(prune::count_masked(Tensor::of({kNan, 1.0, 1.0, 1.0, 1.0}), bits).nan);
    CHECK(prune::count_masked(Tensor::of({1.0, 1.0, 1.0, kNan, 1.0}), bits).nan);
  }

  TEST_CASE("values of a mapped file, whose pages are given back") {
    const TempDir dir;
    manual_seed(4);
    const Tensor values = randn({300'000}), mask = lt(rand({300'000}), Tensor::of(0.5));
    write_safetensors(dir / "f.safetensors", {{"a", values}});
    const Tensor read = read_safetensors(dir / "f.safetensors").at("a");
    const Tensor product = nn::apply_mask(values, mask);
    for (int twice = 0; twice < 2; ++twice) {
      CHECK(prune::count_masked(read, nn::pack_bits(mask)).zeros == 300'000 - count_nonzero(product));
      CHECK(same_bytes(in_pieces(read, nn::pack_bits(mask), 1 << 16), product));
    }
  }

  TEST_CASE("the mask itself, as every type") {
    const Tensor mask = lt(rand({1000}), Tensor::of(0.5)), bits = nn::pack_bits(mask);
    for (const Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::f16, Dtype::bf16, Dtype::boolean, Dtype::i64}) {
      const Tensor wanted = mask.to(dtype);
      std::vector<std::byte> out(wanted.nbytes());
      for (std::size_t at = 0; at < out.size(); at += 64)
        prune::write_mask(bits, dtype, at, std::span(out).subspan(at, std::min<std::size_t>(64, out.size() - at)));
      CHECK(same_bytes(out, wanted));
    }
  }

  TEST_CASE("other types, bits of another length, and places outside are refused") {
    std::vector<std::byte> to(64);
    const Tensor bits = zeros({2}, Dtype::u8);
    CHECK(refused<DtypeError>([&] { (void)prune::count_masked(ones({16}, Dtype::i32), bits); }));
    CHECK(refused<ShapeError>([&] { (void)prune::count_masked(ones({17}), bits); }));
    CHECK(refused<ShapeError>([&] { (void)prune::count_masked(ones({16}), coppice::zeros({2})); }));
    CHECK(refused<ShapeError>([&] { prune::write_masked(ones({17}), bits, 0, to); }));
    CHECK(refused<ValueError>([&] { prune::write_masked(ones({16}), bits, 64, to); }));
    CHECK(refused<ValueError>([&] { prune::write_masked(ones({16}), bits, 4, std::span(to).first(4)); }));
    CHECK(refused<ValueError>([&] { prune::write_mask(bits, Dtype::f32, 64, to); }));
    CHECK(refused<ValueError>([&] { prune::write_mask(bits, Dtype::f32, 0, std::span(to).first(3)); }));
  }
}
