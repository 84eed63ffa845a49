#include <coppice/sparsity.h>
#include <iostream>
using namespace coppice;
namespace prune = sparsity::prune;

int main() {
  nn::Conv1d m({2, 10, {3}, {}});
  for (const double amount : {0.3, 0.3, 0.5}) {
    prune::ln_structured(m, "weight", amount, 2, 0);
    const Tensor channels = any(m.tensor("weight_mask"), {1, 2});
    std::cout << "after " << amount << ": " << count_nonzero(channels) << " channels left\n";
  }
  prune::random_unstructured(m, "weight", 4);  // four of the entries that are left
  std::cout << "entries left: " << count_nonzero(m.tensor("weight_mask")) << '\n';
  for (const nn::MaskStep& step : prune::method_of(m, "weight")->steps()) std::cout << step.type << '\n';
}
