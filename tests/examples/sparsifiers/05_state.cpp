#include <coppice/sparsity.h>
#include <iostream>
using namespace coppice;

int main() {
  manual_seed(4);
  const nn::ModulePtr model =
      std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{std::make_shared<nn::Linear>(16, 8)});
  sparsity::WeightNormSparsifier sparsifier(0.5, {2, 2});
  sparsifier.prepare(model);
  sparsifier.step();
  nn::save_model(*model, "model.safetensors", {}, {.masked_values = true});  // weights and masks
  sparsity::save_arguments(sparsifier.state_dict(), "state.safetensors");    // settings, and masks once more

  const nn::ModulePtr again = nn::load_model("model.safetensors");
  sparsity::WeightNormSparsifier other = sparsity::cloned_onto(sparsifier, again);
  other.load_state_dict(sparsity::load_arguments("state.safetensors"));
  std::cout << to_string(other) << '\n'
            << "same masks: " << (other.groups()[0].mask() == sparsifier.groups()[0].mask()) << '\n';
  try {
    other.groups()[0].config.set("zeros_per_block", std::int64_t{9});
    other.step();
  } catch (const ValueError& e) {
    std::cout << e.what() << '\n';
  }
}
