#include <coppice/sparsity.h>
#include <iostream>
using namespace coppice;
namespace prune = sparsity::prune;

int main() {
  const Tensor weight = Tensor::of({{4, -1, 2}, {1, 3, -1}, {-5, 2, 6}});
  std::cout << "three entries:\n"
            << to_string(prune::L1Unstructured(3).prune(weight)) << '\n'
            << "one row:\n"
            << to_string(prune::LnStructured(1, 2, 0).prune(weight)) << '\n';
}
