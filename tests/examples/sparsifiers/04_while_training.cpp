#include <coppice/sparsity.h>
#include <iomanip>
#include <iostream>
using namespace coppice;

int main() {
  manual_seed(3);
  const auto layer = std::make_shared<nn::Linear>(32, 16);
  const nn::ModulePtr model = std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{layer});
  sparsity::WeightNormSparsifier sparsifier(0.8, {4, 1});
  sparsifier.prepare(model);
  sparsity::CubicSL scheduler(sparsifier, {.init_sl = 0.2, .init_t = 1, .delta_t = 1, .total_t = 4});
  nn::SGD sgd(model->parameters(), {.lr = 0.1});  // the dense originals train, behind their masks

  const Tensor x = randn({64, 32}), wanted = randn({64, 16});
  for (int epoch = 0; epoch < 6; ++epoch) {
    sgd.zero_grad();
    const Tensor error = sub((*model)(x), wanted);
    mean(mul(error, error)).backward();
    sgd.step();
    sparsifier.step();  // the masks follow from the weights as they are now
    std::cout << "epoch " << epoch << ": level " << std::setprecision(3) << scheduler.get_last_sl()[0] << ", "
              << count_nonzero(sparsifier.groups()[0].mask()) << " of 512 left\n";
    scheduler.step();  // the level of the next epoch
  }
  sparsifier.squash_mask();
  std::cout << "zeros: " << 512 - count_nonzero(layer->tensor("weight")) << '\n';
}
