#include <coppice/sparsity.h>
#include <iostream>
using namespace coppice;

int main() {
  manual_seed(1);
  const nn::ModulePtr model = std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{
      std::make_shared<nn::Linear>(40, 32), std::make_shared<nn::ReLU>(), std::make_shared<nn::Linear>(32, 10)});

  sparsity::WeightNormSparsifier sparsifier(0.75, {16, 1});  // sixteen outputs by one input
  sparsifier.prepare(model, {{{"tensor_fqn", "0.weight"}},
                             {{"tensor_fqn", "2.weight"},  // settings of its own
                              {"sparse_block_shape", std::vector<std::int64_t>{2, 2}},
                              {"zeros_per_block", std::int64_t{4}},
                              {"sparsity_level", 0.5}}});
  sparsifier.step();
  for (const sparsity::Group& group : sparsifier.groups())
    std::cout << group.tensor_fqn() << '\n' << sparsity::drawn(group.mask());
}
