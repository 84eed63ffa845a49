#include <coppice/sparsity.h>
#include <iostream>
using namespace coppice;
namespace prune = sparsity::prune;

int main() {
  nn::Linear m(3, 2);
  m.tensor("weight").detach().copy_(Tensor::of({{1, -2, 3}, {4, -5, 6}}));
  prune::l1_unstructured(m, "weight", 2);
  for (const auto& [name, tensor] : nn::state_dict(m)) std::cout << name << ' ' << to_string(tensor.shape()) << '\n';
  std::cout << "weight " << to_string(m.tensor("weight")) << '\n';

  nn::SGD sgd(m.parameters(), {.lr = 1});
  sum(m(Tensor::of({{1, 1, 1}}))).backward();
  sgd.step();  // gradients of weight_orig are masked, and weight is current at once
  std::cout << "original " << to_string(m.tensor("weight_orig")) << '\n'
            << "weight " << to_string(m.tensor("weight")) << '\n';
}
