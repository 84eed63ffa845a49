#include <coppice/sparsity.h>
#include <iostream>
using namespace coppice;
using sparsity::Amount;

int main() {
  std::cout << "1 of 15: " << Amount(1).of(15) << '\n'      // a count
            << "1.0 of 15: " << Amount(1.0).of(15) << '\n'  // a fraction: everything
            << "0.5 of 5: " << Amount(0.5).of(5) << '\n'    // 2.5 rounds to the even number
            << "0.5 of 7: " << Amount(0.5).of(7) << '\n';
  try {
    nn::Linear m(3, 2);
    sparsity::prune::l1_unstructured(m, "weight", 7);
  } catch (const ValueError& e) {
    std::cout << e.what() << '\n';
  }
}
