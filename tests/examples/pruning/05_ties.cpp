#include <coppice/sparsity.h>
#include <iostream>
using namespace coppice;
namespace prune = sparsity::prune;

int main() {
  const Tensor weight = ones({2, 4});
  std::cout << "lowest index:\n"
            << to_string(prune::L1Unstructured(3).prune(weight)) << '\n'
            << "as PyTorch:\n"
            << to_string(prune::L1Unstructured(3, TieRule::pytorch).prune(weight)) << '\n';
  {
    const TieRuleScope scope(TieRule::pytorch);  // for every call of this block
    std::cout << "in a scope: " << (prune::L1Unstructured(3).prune(weight).at({0, 0}) == 1) << '\n';
  }
  nn::Linear first(3, 2, false), second(4, 2, false);
  prune::global_unstructured({{&first, "weight"}, {&second, "weight"}}, prune::L1Unstructured(0.5));
  std::cout << "zeros of both together: "
            << 14 - sum(first.tensor("weight_mask")).item() - sum(second.tensor("weight_mask")).item() << '\n';
}
