#include <coppice/sparsity.h>
#include <iostream>
using namespace coppice;

int main() {
  const auto layer = std::make_shared<nn::Linear>(8, 4, false);
  layer->tensor("weight").detach().copy_(Tensor::of(
      {{9, 8, 7, 6, 1, 2, 3, 4}, {1, -1, 1, -1, 5, -5, 5, -5}, {2, 2, 2, 2, 3, 3, 3, 3}, {0, 0, 0, 9, 1, 1, 1, 1}}));
  const nn::ModulePtr model = std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{layer});

  sparsity::WeightNormSparsifier sparsifier(0.5, {1, 4});  // half of the blocks of one output by four inputs
  sparsifier.prepare(model);
  const sparsity::Group& group = sparsifier.groups()[0];
  std::cout << group.tensor_fqn() << " before the first step\n" << sparsity::drawn(group.mask());
  sparsifier.step();
  std::cout << "after it\n" << sparsity::drawn(group.mask());
  for (const auto& [name, tensor] : nn::state_dict(*model))
    std::cout << name << ' ' << to_string(tensor.shape()) << '\n';

  sparsifier.squash_mask();
  std::cout << to_string(layer->tensor("weight")) << '\n';
  for (const auto& [name, tensor] : nn::state_dict(*model))
    std::cout << name << ' ' << to_string(tensor.shape()) << '\n';
}
