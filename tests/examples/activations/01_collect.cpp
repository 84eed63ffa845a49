#include <coppice/sparsity.h>
#include <iostream>
using namespace coppice;

int main() {
  nn::Sequential model{std::make_shared<nn::Identity>()};
  sparsity::ActivationSparsifier sparsifier(model, {.aggregate_fn = "coppice.sum",
                                                    .reduce_fn = "coppice.mean_dim0",
                                                    .mask_fn = "coppice.magnitude",
                                                    .sparse_config = {{"sparsity_level", 0.5}}});
  sparsifier.register_layer(*model.at(0));

  const Tensor x = Tensor::of({{1, -2, 3, -4}, {5, 6, -7, 8}});
  (void)model(x);  // what reaches the layer is collected; the layer computes as ever
  (void)model(Tensor::of({{0, 2, 1, 4}, {-5, 1, 7, 1}}));
  std::cout << "collected " << to_string(std::get<Tensor>(sparsifier.data("0"))) << '\n';
  sparsifier.step();  // sum -> mean over the batch -> the half of least magnitude goes
  std::cout << "mask " << sparsity::drawn(std::get<Tensor>(sparsifier.get_mask("0")));
  sparsifier.squash_mask();  // from here on inputs are masked
  std::cout << "masked " << to_string(model(x)) << '\n';
}
