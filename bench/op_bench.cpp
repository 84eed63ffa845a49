// Every operation of the table on inputs worth timing, and what the scope around each costs.
//
//   op_bench [threads]        `copies`: how often the bytes in and out could have been read meanwhile by one core; an
//                             operation that only moves data comes near 1, the rest is arithmetic
#include <cstdio>
#include <cstdlib>

#include "coppice/engine/cpu.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/op.h"
#include "coppice/engine/parallel.h"
#include "harness.h"
#include "support/op_cases.h"

using namespace coppice;

namespace {

std::size_t bytes_of(const TensorList& tensors) {
  std::size_t bytes = 0;
  for (const Tensor& t : tensors)
    if (t.defined()) bytes += t.nbytes();
  return bytes;
}

void operations(double bandwidth) {
  std::printf("%-20s %10s %12s %10s %12s\n", "operation", "ms", "bytes", "copies", "with grad");
  for (const auto& c : testing::op_cases()) {
    if (!c.timed) continue;
    const TensorList inputs = c.timed();
    TensorList leaves = inputs;
    for (Tensor& t : leaves)
      if (is_floating(t.dtype())) t = t.clone().requires_grad_();
    const std::size_t bytes = bytes_of(inputs) + bytes_of(run(c, inputs));
    const auto times = bench::measure({[&] { (void)run(c, inputs); }, [&] { (void)run(c, leaves); }}, 0.05);
    const double ms = times[0].median * 1e-3;
    std::printf("%-20s %10.3f %12zu %10.2f %11.2fx\n", c.op.c_str(), ms, bytes,
                ms * 1e6 * bandwidth / static_cast<double>(bytes), times[1].median / times[0].median);
  }
}

class Silent final : public OpListener {
 public:
  void on_op(const OpRow&, const TensorList&, const Arguments&, const TensorList&) override {}
};

/// Nanoseconds of `f` per round, of a million.
template <class F>
double nanoseconds(F f) {
  constexpr int kRounds = 1'000'000;
  const auto loop = [&] {
    for (int i = 0; i < kRounds; ++i) f();
  };
  return bench::measure({loop}, 0.3)[0].median * 1e3 / kRounds;
}

void scopes() {
  const OpRow& row = *find_op("relu");
  const Tensor x = Tensor::of({1, 2});
  const double nothing = nanoseconds([] { asm volatile("" ::: "memory"); });
  const auto scope = [&] {
    const Op op(row);
    asm volatile("" ::"r"(&op) : "memory");
  };
  const double alone = nanoseconds(scope) - nothing;
  const double call = nanoseconds([&] { (void)relu(x); });
  double heard = 0;
  {
    Silent listener;
    heard = nanoseconds([&] { (void)relu(x); });
  }
  const Tensor w = x.clone().requires_grad_();
  const double with_gradient = nanoseconds([&] { (void)relu(w); });
  const double with_attributes = nanoseconds([&] { (void)(w * 2.0); });
  std::printf(
      "\na scope alone %.2f ns; relu of two numbers %.0f ns, heard %.0f ns, with gradient %.0f ns; "
      "multiplied by a number, an attribute, with gradient %.0f ns\n",
      alone, call, heard, with_gradient, with_attributes);
}

}  // namespace

int main(int argc, char** argv) {
  set_num_threads(argc > 1 ? std::atoi(argv[1]) : 1);
  const double bandwidth = bench::read_bandwidth(std::size_t{64} << 20);
  std::printf("level %s, %d threads, one core reads memory at %.1f GB/s\n\n", std::string(name_of(cpu_level())).c_str(),
              num_threads(), bandwidth);
  operations(bandwidth);
  scopes();
}
