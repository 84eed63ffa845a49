#include <coppice/sparsity.h>
#include <iostream>
using namespace coppice;

Tensor mask_by(sparsity::BaseSparsifier&& sparsifier, const Tensor& weight) {
  const auto layer = std::make_shared<nn::Linear>(weight.size(1), weight.size(0), false);
  layer->tensor("weight").detach().copy_(weight);
  const nn::ModulePtr model = std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{layer});
  sparsifier.prepare(model);
  sparsifier.step();
  return sparsifier.groups()[0].mask();
}

int main() {
  manual_seed(2);
  const Tensor weight = randn({4, 16});
  const Tensor mask = mask_by(sparsity::NmSparsifier({2, 4}), weight);
  std::cout << "2:4\n" << sparsity::drawn(mask);
  std::cout << "the same: " << (mask_by(sparsity::WeightNormSparsifier(1, {1, 4}, 2), weight) == mask) << '\n';
  std::cout << "1:8\n" << sparsity::drawn(mask_by(sparsity::NmSparsifier({1, 8}), weight));
  std::cout << "2:4 along rows and columns\n" << sparsity::drawn(sparsity::mask_two_of_four_tiles(weight));
  std::cout << "without a model\n" << sparsity::drawn(sparsity::mask_n_of_m(weight, {4, 8}));
}
