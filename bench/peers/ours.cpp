// Our side of compare.py: does one task several times and prints the median milliseconds and the extra memory in MB.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <span>
#include <string>

#include "coppice/sparsity.h"

namespace {

using namespace coppice;
using Clock = std::chrono::steady_clock;

/// Median milliseconds of `rounds` samples.
double median(const std::function<void()>& f, int rounds) {
  return race(std::span(&f, 1), {.rounds = rounds})[0].median / 1e3;
}

/// A line of /proc/self/status in MB.
double status(const std::string& key) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(key)) return std::stod(line.substr(key.size() + 1)) / 1024;
  return 0;
}

Shape input_shape(const std::string& model, std::int64_t n) {
  if (model == "lenet") return {n, 1, 8, 8};
  return model == "lstm" ? Shape{n, 8, 8} : Shape{n, 64};
}

nn::ModulePtr load(const std::string& root, const std::string& model) {
  const bool lenet = model == "lenet";
  const nn::ModulePtr m = nn::read_architecture(
      root + (lenet ? "/sparsity/data/lenet_digits.arch.json" : "/tests/data/" + model + "_digits.arch.json"));
  nn::load_state_dict(
      *m, read_torch(root + (lenet ? "/sparsity/data/lenet_digits.pt" : "/tests/data/" + model + "_digits.pt")));
  m->eval();
  return m;
}

double forward(const nn::Module& m, const std::string& name, std::int64_t batch) {
  NoGrad guard;
  const Tensor x = rand(input_shape(name, batch));
  return median([&] { (void)m(x); }, 31);
}

/// 90 % of the smallest weights of all layers gone, then packed.
double packed_forward(const std::string& root, const std::string& name, std::int64_t batch) {
  const nn::ModulePtr m = load(root, name);
  std::vector<sparsity::prune::Target> targets;
  for (const auto& [path, module] : m->named_modules())
    for (const auto& [own, t] : module->own_parameters())
      if (t.defined() && sparsity::is_prunable(own, t)) targets.emplace_back(module, own);
  sparsity::prune::global_unstructured(targets, sparsity::prune::L1Unstructured(0.9));
  NoGrad guard;
  return forward(*sparsity::pack(*m, {}, rand(input_shape(name, 1))).model, name, batch);
}

double train_step(const std::string& root, const std::string& name) {
  const nn::ModulePtr m = load(root, name);
  m->train();
  nn::Adam optimizer(m->parameters(), {.lr = 1e-3});
  const Tensor x = rand(input_shape(name, 64));
  const Tensor y = randint(0, 10, {64});
  return median(
      [&] {
        optimizer.zero_grad();
        cross_entropy((*m)(x), y).backward();
        optimizer.step();
      },
      15);
}

/// The smallest 90 % of the weights of 12 layers, 50 M together: by global_unstructured as in PyTorch, with a mask for
/// each weight, or set to zero in place.
double global_prune(bool in_place, double& extra) {
  std::vector<double> samples;
  for (int run = 0; run < 5; ++run) {
    std::vector<nn::ModulePtr> layers;
    std::vector<sparsity::prune::Target> targets;
    TensorList weights;
    for (int i = 0; i < 12; ++i) {
      layers.push_back(std::make_shared<nn::Linear>(2048, 2048, false));
      targets.emplace_back(layers.back().get(), "weight");
      weights.push_back(layers.back()->tensor("weight").detach());
    }
    std::ofstream("/proc/self/clear_refs") << 5;  // the peak counts from here
    const double before = status("VmRSS");
    const auto start = Clock::now();
    if (in_place)
      zero_selected_(weights, {.count = sparsity::Amount(0.9).of(12 * 2048 * 2048)});
    else
      sparsity::prune::global_unstructured(targets, sparsity::prune::L1Unstructured(0.9));
    samples.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
    extra = std::max(extra, status("VmHWM") - before);
  }
  std::ranges::sort(samples);
  return samples[2];
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: peers_ours ROOT THREADS TASK [ARGUMENT ...]\n");
    return 2;
  }
  const std::string root = argv[1], task = argv[3];
  const std::string a = argc > 4 ? argv[4] : "", b = argc > 5 ? argv[5] : "";
  set_num_threads(std::atoi(argv[2]));
  manual_seed(0);
  double ms = 0, extra = 0;
  if (task == "forward")
    ms = forward(*load(root, a), a, std::atoi(b.c_str()));
  else if (task == "packed")
    ms = packed_forward(root, a, std::atoi(b.c_str()));
  else if (task == "train")
    ms = train_step(root, a);
  else if (task == "prune")
    ms = global_prune(a == "in_place", extra);
  else if (task == "load")
    ms = median([&] { (void)load_tensors(a, {.verify = b != "unchecked"}); }, 7);
  else
    return 2;
  std::printf("%.6f %.1f\n", ms, extra);
  return 0;
}
