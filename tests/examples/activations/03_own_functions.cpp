#include <coppice/sparsity.h>
#include <iostream>
using namespace coppice;

/// Ones where the mean is above the mean of all.
Tensor above_mean(const Tensor& reduced, const Arguments& config) {
  return ge(reduced, mul(mean(reduced), config.number("times", 1)));
}

int main() {
  nn::Sequential model{std::make_shared<nn::Identity>()};
  // A function of the program's own works at once; with a name it goes into files too, and its settings are checked.
  sparsity::register_mask_function("example.above_mean", above_mean, {{"times", 1.0}});
  sparsity::ActivationSparsifier sparsifier(
      model, {.aggregate_fn = "coppice.max", .reduce_fn = "coppice.identity", .mask_fn = "example.above_mean"});
  try {
    sparsifier.register_layer(*model.at(0), {.sparse_config = {{"time", 2.0}}});
  } catch (const TypeError& e) {
    std::cout << e.what() << '\n';
  }
  sparsifier.register_layer(*model.at(0), {.sparse_config = {{"times", 1.5}}});
  (void)model(Tensor::of({{1, 2, 3, 10}, {4, 9, 2, 8}}));
  (void)model(Tensor::of({{2, 2, 2, 2}, {9, 2, 2, 2}}));
  sparsifier.step();

  sparsity::save_arguments(to_arguments(sparsifier.state_dict()), "activations.safetensors");
  nn::Sequential other{std::make_shared<nn::Identity>()};
  sparsity::ActivationSparsifier again(other);
  again.load_state_dict(sparsity::activation_sparsifier_state(sparsity::load_arguments("activations.safetensors")));
  std::cout << again.group("0").mask_fn->name() << '\n' << sparsity::drawn(std::get<Tensor>(again.get_mask("0")));
}
