// Pruning calls and pruned forward passes, against a copy of the same bytes and the machine's read bandwidth.
//
//     prune_bench                 the whole table
//     prune_bench TASK            median milliseconds and extra megabytes of one task: our side of
//     peers/prune_compare.py
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

#include "coppice/engine/version.h"
#include "coppice/sparsity.h"
#include "harness.h"
#include "process.h"

namespace {

using namespace coppice;
using namespace coppice::sparsity;
using Clock = std::chrono::steady_clock;

/// A module with nothing but a weight: made anew around the same numbers for each call.
class Holder final : public nn::Implements<Holder> {
 public:
  static constexpr std::string_view kType = "Holder";
  explicit Holder(Tensor weight) { register_parameter("weight", std::move(weight)); }

 private:
  Tensor forward(const Tensor& x) const override { return x; }
};

struct Result {
  double ms = 0;
  double extra = 0;  // peak memory during the call, MB
};

using Call = std::function<void(std::vector<Holder>&)>;

/// Median of `rounds` calls on fresh modules around `weights`; making, preparing and freeing them is not counted.
Result time(const TensorList& weights, int rounds, const Call& call, const Call& prepare = {}) {
  std::vector<double> samples;
  Result out;
  for (int i = 0; i <= rounds; ++i) {
    std::vector<Holder> modules;
    for (const Tensor& w : weights) modules.emplace_back(w);
    if (prepare) prepare(modules);
    std::ofstream("/proc/self/clear_refs") << 5;  // the peak counts from here
    const double before = bench::status("VmRSS");
    const auto start = Clock::now();
    call(modules);
    if (i > 0) samples.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
    out.extra = std::max(out.extra, bench::status("VmHWM") - before);
  }
  std::ranges::sort(samples);
  out.ms = samples[samples.size() / 2];
  return out;
}

Result one_call(const std::string& method) {
  const Tensor w = randn({4096, 4096});
  const Tensor mask = rand(w.shape());
  for (float& x : Tensor(mask).mutable_data<float>()) x = x < 0.5f ? 0.0f : 1.0f;
  return time({w}, 9, [&](std::vector<Holder>& modules) {
    nn::Module& m = modules[0];
    if (method == "identity")
      prune::identity(m, "weight");
    else if (method == "random_unstructured")
      prune::random_unstructured(m, "weight", 0.5);
    else if (method == "l1_unstructured")
      prune::l1_unstructured(m, "weight", 0.5);
    else if (method == "random_structured")
      prune::random_structured(m, "weight", 0.5, 0);
    else if (method == "ln_structured")
      prune::ln_structured(m, "weight", 0.5, 2, 0);
    else if (method == "ln_structured_columns")
      prune::ln_structured(m, "weight", 0.5, 2, 1);
    else if (method == "custom_from_mask")
      prune::custom_from_mask(m, "weight", mask);
    else
      throw ValueError(cat("no task '", method, "'"));
  });
}

/// 90 % of 50 M weights in 12 tensors; `again` prunes half of what is left.
Result global(bool again) {
  TensorList weights;
  for (int i = 0; i < 12; ++i) weights.push_back(randn({2048, 2048}));
  const auto prune_all = [](std::vector<Holder>& modules, double amount) {
    std::vector<prune::Target> targets;
    for (Holder& m : modules) targets.emplace_back(&m, "weight");
    prune::global_unstructured(targets, prune::L1Unstructured(amount));
  };
  if (!again) return time(weights, 5, [&](std::vector<Holder>& modules) { prune_all(modules, 0.9); });
  return time(
      weights, 5, [&](std::vector<Holder>& modules) { prune_all(modules, 0.5); },
      [&](std::vector<Holder>& modules) { prune_all(modules, 0.5); });
}

/// A Linear(1024, 1024) pruned by half and the same dense, in turn: milliseconds of both.
std::pair<double, double> forward(std::int64_t batch) {
  nn::Linear dense(1024, 1024), pruned(1024, 1024);
  prune::l1_unstructured(pruned, "weight", 0.5);
  const NoGrad guard;
  const Tensor x = randn({batch, 1024});
  const auto t = bench::measure({[&] { (void)dense(x); }, [&] { (void)pruned(x); }}, 1.0);
  return {t[0].median / 1e3, t[1].median / 1e3};
}

/// Milliseconds to copy `bytes` into memory that is there, and into memory that must be fetched first.
std::pair<double, double> copy(std::size_t bytes) {
  const std::vector<char> from(bytes, 1);
  std::vector<char> to(bytes, 2);
  volatile char kept = 0;  // what nobody reads would not be written
  const auto ms = [](const std::function<void()>& f) { return bench::measure({f}, 0.3)[0].median / 1e3; };
  return {ms([&] { std::memcpy(to.data(), from.data(), bytes); }), ms([&] {
            const auto fresh = std::make_unique_for_overwrite<char[]>(bytes);
            std::memcpy(fresh.get(), from.data(), bytes);
            kept = fresh[bytes / 2];
          })};
}

const std::vector<std::string> kCalls{"identity",      "random_unstructured",   "l1_unstructured", "random_structured",
                                      "ln_structured", "ln_structured_columns", "custom_from_mask"};

void table() {
  const double read = bench::read_bandwidth(std::size_t{256} << 20);
  const auto copies = copy(std::size_t{64} << 20);
  const double warm = copies.first, fresh = copies.second;
  std::printf("one thread; read bandwidth %.1f GB/s; copy of 64 MB: %.2f ms, into fresh memory %.2f ms\n\n", read, warm,
              fresh);
  std::printf("%-34s %10s %10s %12s %12s\n", "task", "ms", "extra MB", "/ read once", "/ fresh copy");
  const auto row = [&](const std::string& name, Result r, double bytes) {
    const double once = bytes / read / 1e6;
    std::printf("%-34s %10.2f %10.1f %12.2f %12.2f\n", name.c_str(), r.ms, r.extra, r.ms / once,
                r.ms / (fresh * bytes / static_cast<double>(std::size_t{64} << 20)));
  };
  for (const std::string& name : kCalls) row(name + " 4096x4096", one_call(name), 4.0 * 4096 * 4096);
  row("global_unstructured 50 M", global(false), 4.0 * 12 * 2048 * 2048);
  row("global_unstructured 50 M again", global(true), 4.0 * 12 * 2048 * 2048);
  for (const int batch : {1, 64}) {
    const auto [dense, pruned] = forward(batch);
    std::printf("forward Linear(1024, 1024), batch %2d: dense %.4f ms, pruned %.4f ms, pruned / dense %.3f\n", batch,
                dense, pruned, pruned / dense);
  }
}

}  // namespace

int main(int argc, char** argv) {
  set_num_threads(1);
  manual_seed(0);
  if (argc < 2) {
    table();
    return 0;
  }
  const std::string task = argv[1];
  Result r;
  if (task == "version") {
    std::printf("coppice %s\n", std::string(kVersion).c_str());
    return 0;
  }
  if (task == "global" || task == "global_again")
    r = global(task == "global_again");
  else if (task == "forward_dense_1" || task == "forward_dense_64")
    r.ms = forward(task.ends_with("64") ? 64 : 1).first;
  else if (task == "forward_pruned_1" || task == "forward_pruned_64")
    r.ms = forward(task.ends_with("64") ? 64 : 1).second;
  else
    r = one_call(task);
  std::printf("%.6f %.1f\n", r.ms, r.extra);
  return 0;
}
