#include <coppice/sparsity.h>
#include <iostream>
using namespace coppice;

int main() {
  manual_seed(7);
  const nn::ModulePtr a =
      std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{std::make_shared<nn::Linear>(8, 4, false)});
  const nn::ModulePtr b = a->clone();
  const auto show = [](const char* what, const nn::ModulePtr& model) {
    std::cout << what << ":\n";
    for (const auto& [name, tensor] : nn::all_tensors(*model)) std::cout << "  " << name << '\n';
  };

  sparsity::prune::l1_unstructured(*a->child("0"), "weight", 0.5);  // torch.nn.utils.prune: decides now
  sparsity::WeightNormSparsifier sparsifier(0.5, {1, 1});           // torch.ao.pruning: decides at each step
  sparsifier.prepare(b);
  sparsifier.step();
  show("prune", a);
  show("sparsifier", b);
  std::cout << "same weights: " << (a->child("0")->tensor("weight") == b->child("0")->tensor("weight")) << '\n';

  for (const nn::MaskedSlot& masked : nn::masks_in(*b)) std::cout << masked.path << " is masked\n";
  nn::take_fake_masks(*b);  // the one family's masks become the other's
  show("taken over", b);
}
