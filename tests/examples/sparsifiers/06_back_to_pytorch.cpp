#include <coppice/sparsity.h>
#include <filesystem>
#include <iostream>
using namespace coppice;

int main() {
  manual_seed(5);
  const auto fresh = [] {
    return std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{
        std::make_shared<nn::Linear>(64, 32), std::make_shared<nn::ReLU>(), std::make_shared<nn::Linear>(32, 16)});
  };
  const nn::ModulePtr model = fresh();
  write_torch("dense.pt", nn::state_dict(*model));

  sparsity::WeightNormSparsifier sparsifier(0.75, {16, 1});
  sparsifier.prepare(model, {{{"tensor_fqn", "0.weight"}}});
  sparsity::NmSparsifier pattern({2, 4});
  pattern.prepare(model, {{{"tensor_fqn", "2.weight"}}});
  sparsifier.step();
  pattern.step();
  write_torch("prepared.pt", nn::state_dict(*model));  // originals, without masks, as PyTorch writes it
  sparsifier.squash_mask();
  pattern.squash_mask();
  write_torch("squashed.pt", nn::state_dict(*model));  // plain names, with zeros

  nn::save_model(*sparsity::pack(*model, {.measure = false}).model, "packed.safetensors");
  for (const char* file : {"dense.pt", "prepared.pt", "squashed.pt", "packed.safetensors"}) {
    std::cout << file << ": " << std::filesystem::file_size(file) << " bytes\n";
    if (!std::string_view(file).ends_with(".pt")) continue;
    for (const std::string& name : read_torch(file).names()) std::cout << "  " << name << '\n';
  }
}
