// SGD, Adam and AdamW against torch.optim, bit for bit where its square roots allow, in settings and on numbers of all
// kinds (make_optim.py).
#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine.h"
#include "coppice/nn.h"

namespace {

using namespace coppice;

std::unique_ptr<nn::Optimizer> make_optimizer(const std::vector<double>& s, const Tensor& p) {
  if (s[0] == 0)
    return std::make_unique<nn::SGD>(TensorList{p}, nn::SgdOptions{s[2], s[3], s[4], s[6], /*nesterov=*/s[5] != 0});
  const nn::AdamOptions o{
      .lr = s[2], .beta1 = s[7], .beta2 = s[8], .eps = s[9], .weight_decay = s[6], .amsgrad = s[10] != 0};
  if (s[0] == 1) return std::make_unique<nn::Adam>(TensorList{p}, o);
  return std::make_unique<nn::AdamW>(TensorList{p}, o);
}

/// The same number with the same sign, or both NaN; `near` allows finite ones that differ in the last bits.
bool same(double a, double b, bool near) {
  if (std::isnan(a)) return std::isnan(b);
  if (near && a != b) return std::abs(a - b) < 1e-6 * std::max(1.0, std::abs(b));  // false where one is infinite
  return a == b && std::signbit(a) == std::signbit(b);
}

TEST_SUITE("golden/optim") {
  TEST_CASE(
      "three steps of 300 settings equal PyTorch's at every level: infinities, NaN and signs of zeros, and the bits of "
      "all states") {
    const NamedTensors golden = read_npz(COPPICE_TESTS_DIR "/golden/optim.npz");
    const std::int64_t cases = golden.at("settings").size(0);
    CHECK(cases == 300);
    const CpuLevel best = cpu_level();
    std::int64_t compared = 0, equal = 0;
    for (const CpuLevel level : {best, std::min(best, CpuLevel::v2)})
      for (std::int64_t i = 0; i < cases; ++i) {
        set_cpu_level(level);
        const std::vector<double> settings = select(golden.at("settings"), 0, i).to_vector<double>();
        const Dtype type = settings[1] != 0 ? Dtype::f64 : Dtype::f32;
        Tensor p = select(golden.at("before"), 0, i).to(type).clone();
        p.requires_grad_();
        const auto optimizer = make_optimizer(settings, p);
        const Tensor gradients = select(golden.at("gradients"), 0, i).to(type);
        for (std::int64_t step = 0; step < gradients.size(0); ++step) {
          p.set_grad(select(gradients, 0, step));
          optimizer->step();
        }
        NamedTensors ours;
        ours.add("after", p.detach());
        for (const auto& [name, tensor] : optimizer->state_dict())
          if (name != "0.step") ours.add(name.substr(2), tensor);
        for (const auto& [name, tensor] : ours) {
          // Adam's steps: the square roots of PyTorch are MKL's, which differ from IEEE's in one of 150.
          const bool near = settings[0] != 0 && name == "after";
          const auto a = tensor.to_vector<double>(), b = select(golden.at(name), 0, i).to_vector<double>();
          REQUIRE(a.size() == b.size());
          for (std::size_t k = 0; k < a.size(); ++k) {
            const auto& what = name;  // Clang 14 cannot capture a structured binding
            CAPTURE(what);
            CAPTURE(settings);
            CAPTURE(i);
            CAPTURE(k);
            CAPTURE(a[k]);
            CAPTURE(b[k]);
            CHECK(same(a[k], b[k], near));
            equal += same(a[k], b[k], false);
            ++compared;
          }
        }
      }
    set_cpu_level(best);
    CHECK(compared > 40'000);
    CHECK(compared - equal < 60);
  }
}

}  // namespace
