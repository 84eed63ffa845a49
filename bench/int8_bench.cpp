// Integer Linear 1024 x 1024, one thread: microseconds, percent of the machine's integer roofs and of its bandwidth,
// and ratios to our float32 product.
//
//   int8_bench [ROWS COLUMNS]     with each unit that the processor has (engine/src/integer_unit.h)
#include <cstdio>
#include <cstdlib>
#include <string>

#include "../engine/src/integer_unit.h"
#include "../engine/src/quant/int8_blocks.h"
#include "../engine/src/quant/int8_linear.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/linalg.h"
#include "coppice/engine/parallel.h"
#include "coppice/engine/random.h"
#include "harness.h"

using namespace coppice;
using namespace coppice::quant;

namespace {

struct Case {
  std::string name;
  double density;  // of the products
  double bytes;    // of the weights
  std::function<void()> dynamic, fixed;
};

/// Float in and out, as a dynamic layer runs: range, bytes, product.
template <class Weights>
void run_dynamic(const Weights& w, const DynamicConstants& c, const Tensor& x, std::uint8_t* q, float* y) {
  const auto data = x.data<float>();
  const kernels::FloatRange range = range_of(data);
  const float low = std::min(range.min, 0.0f), high = std::max(range.max, 0.0f), scale = (high - low) / 127.0f;
  const Affine in{scale, static_cast<std::int32_t>(-low / scale)};
  quantize_rows(data.data(), x.size(0), x.size(1), {1.0f / scale, in.zero_point, false, true}, q);
  multiply(w, x.size(0), q, row_stride(x.size(1)), output_of(c, DynamicSum::fused, in, false), y);
}

std::vector<std::int8_t> pruned(std::int64_t n, std::int64_t k, std::int64_t height, double sparsity, Generator& g) {
  std::vector<std::int64_t> draw(static_cast<std::size_t>(n * k));
  g.integers(draw, -127, 128);
  std::vector<std::int8_t> w(draw.begin(), draw.end());
  std::vector<float> keep(static_cast<std::size_t>((k + 3) / 4));
  for (std::int64_t j = 0; j < n; ++j) {
    if (j % height == 0) g.bernoulli(std::span(keep), 1 - sparsity);
    for (std::int64_t q = 0; q < k; ++q)
      if (keep[static_cast<std::size_t>(q / 4)] == 0) w[static_cast<std::size_t>(j * k + q)] = 0;
  }
  return w;
}

void table(std::int64_t n, std::int64_t k, std::int64_t m, double vector_roof, double tile_roof, double bandwidth) {
  Generator g(1);
  const Tensor x = rand({m, k}), wf = rand({n, k});
  const std::vector<double> scales{0.001};
  const std::vector<float> bias(static_cast<std::size_t>(n), 0.5f);
  const DynamicConstants dynamic(n, scales, bias);
  const StaticConstants fixed(Requantize::fbgemm, {0.01f, 3}, {0.05f, 20}, true, n, scales, bias);
  const auto q = aligned<std::uint8_t>(static_cast<std::size_t>(m * row_stride(k)));
  const auto y = aligned<float>(static_cast<std::size_t>(m * n));
  const auto bytes = aligned<std::uint8_t>(static_cast<std::size_t>(m * n));
  quantize_rows(x.data<float>().data(), m, k, {100, 3, false, true}, q.get());
  const Int8Panels panels(n, k, pruned(n, k, 1, 0, g), {});
  std::vector<Int8Matrix> sparse;
  for (const std::int64_t height : {16, 8, 4, 1}) sparse.emplace_back(n, k, height, pruned(n, k, height, 0.9, g));
  std::vector<Case> cases;
  cases.push_back({"dense", 1, static_cast<double>(n * k), [&] { run_dynamic(panels, dynamic, x, q.get(), y.get()); },
                   [&] { multiply(panels, m, q.get(), row_stride(k), output_of(fixed), bytes.get()); }});
  for (const Int8Matrix& s : sparse)
    cases.push_back({cat(s.height(), "x4, 90 %"), 0.1, static_cast<double>(s.bytes()),
                     [&] { run_dynamic(s, dynamic, x, q.get(), y.get()); },
                     [&] { multiply(s, m, q.get(), row_stride(k), output_of(fixed), bytes.get()); }});
  std::vector<std::function<void()>> runs{[&] { (void)linear(x, wf); }, [&] { (void)range_of(x.data<float>()); },
                                          [&] {
                                            quantize(x.data<float>(), {100, 3, false, true}, q.get());
                                          }};
  for (const Case& c : cases) runs.insert(runs.end(), {c.dynamic, c.fixed});
  // Each alone, as peers are timed: in turns every candidate would find the second-level cache full of another's
  // weights.
  std::vector<double> times;
  for (const auto& run : runs) times.push_back(bench::measure({run}, 0.1)[0].best);
  std::printf("\nbatch %lld, %s: float32 dense %.1f us; range of x %.2f us, its bytes %.2f us\n",
              static_cast<long long>(m), std::string(name_of(integer_unit())).c_str(), times[0], times[1], times[2]);
  std::printf("%-12s %24s | %10s %8s %8s %8s %9s\n", "", "float in and out, us", "bytes, us", "vpdpbusd", "tiles",
              "bandw.", "to float");
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const double in_bytes = times[4 + 2 * i], floats = times[3 + 2 * i];
    const double rate = 2 * static_cast<double>(n * k * m) * cases[i].density / in_bytes * 1e-3;
    std::printf("%-12s %13.2f (%6.1fx) | %10.2f %6.0f %% %6.0f %% %6.0f %% %8.1fx\n", cases[i].name.c_str(), floats,
                times[0] / floats, in_bytes, 100 * rate / vector_roof, tile_roof > 0 ? 100 * rate / tile_roof : 0.0,
                100 * cases[i].bytes / in_bytes * 1e-3 / bandwidth, times[0] / in_bytes);
  }
}

}  // namespace

int main(int argc, char** argv) {
  set_num_threads(1);
  const std::int64_t n = argc > 2 ? std::atoll(argv[1]) : 1024, k = argc > 2 ? std::atoll(argv[2]) : 1024;
  const double vectors = bench::dot_roof(), tiles = bench::tile_roof();
  const double bandwidth = bench::read_bandwidth(static_cast<std::size_t>(n * k));
  std::printf("level %s; one core: %.0f GOP/s in dot products of vectors, %.0f in tiles; %.0f GB/s over %lld KB\n",
              std::string(name_of(cpu_level())).c_str(), vectors, tiles, bandwidth,
              static_cast<long long>(n * k / 1024));
  for (const std::int64_t m : {1, 16, 64})
    for (const IntegerUnit unit : {IntegerUnit::words, IntegerUnit::vnni, IntegerUnit::amx})
      if (has_integer_unit(cpu_level(), unit)) {
        set_integer_unit(unit);
        table(n, k, m, vectors, tiles, bandwidth);
      }
}
