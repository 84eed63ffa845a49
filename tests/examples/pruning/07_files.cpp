#include <coppice/sparsity.h>
#include <filesystem>
#include <iostream>
using namespace coppice;

int main() {
  nn::Linear m(1000, 1000, false);
  const auto size = [](const char* path) { return std::filesystem::file_size(path) / 1000; };
  write_torch("dense.pt", nn::state_dict(m));
  sparsity::prune::l1_unstructured(m, "weight", 0.9);
  write_torch("pruned.pt", nn::state_dict(m));  // what torch.save writes: the original and a mask of float32
  nn::save_model(m, "pruned.safetensors");      // the kept values and one bit per entry
  nn::save_model(*sparsity::pack(m, {.measure = false}).model, "packed.safetensors");
  for (const char* path : {"dense.pt", "pruned.pt", "pruned.safetensors", "packed.safetensors"})
    std::cout << path << ": " << size(path) << " kB\n";
}
