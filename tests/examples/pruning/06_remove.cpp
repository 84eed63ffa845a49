#include <coppice/sparsity.h>
#include <iostream>
using namespace coppice;
namespace prune = sparsity::prune;

int main() {
  nn::Linear m(3, 2);
  const Tensor parameter = m.tensor("weight");
  prune::l1_unstructured(m, "weight", 0.5);
  const Tensor masked = m.tensor("weight");
  std::cout << "pruned: " << prune::is_pruned(m) << '\n';
  prune::remove(m, "weight");
  std::cout << "pruned: " << prune::is_pruned(m) << '\n'
            << "same parameter: " << m.tensor("weight").is(parameter) << '\n'
            << "same values: " << (m.tensor("weight") == masked) << '\n';
  for (const auto& [name, tensor] : nn::state_dict(m)) std::cout << name << '\n';
}
