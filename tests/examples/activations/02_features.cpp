#include <coppice/sparsity.h>
#include <iostream>
using namespace coppice;

int main() {
  manual_seed(6);
  nn::Sequential model{std::make_shared<nn::Conv2d>(3, 4, 3), std::make_shared<nn::ReLU>(),
                       std::make_shared<nn::Conv2d>(4, 2, 3)};
  sparsity::ActivationSparsifier sparsifier(model, {.aggregate_fn = "coppice.abs_mean",  // counts the passes
                                                    .reduce_fn = "coppice.mean_dim0",
                                                    .mask_fn = "coppice.top_k"});
  // Channels 0 and 3 of what reaches the second convolution have a mask each; the others stay as they are.
  sparsifier.register_layer(
      *model.at(2),
      {.features = std::vector<std::int64_t>{0, 3}, .feature_dim = 1, .sparse_config = {{"k", std::int64_t{8}}}});
  for (int pass = 0; pass < 3; ++pass) (void)model(randn({8, 3, 6, 6}));
  sparsifier.step();
  const auto masks = std::get<TensorList>(sparsifier.get_mask("2"));
  for (const Tensor& mask : masks)
    std::cout << to_string(mask.shape()) << '\n' << sparsity::drawn(mask.reshape({4, 4}));
  sparsifier.squash_mask();
  std::cout << to_string(sparsifier) << '\n';
}
