/// Pruned models in files: saving, loading and going on is the same as not having saved.

#include "coppice/engine/create.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/engine/random.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/layers/container.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/nn/masks/masked.h"
#include "coppice/nn/optim.h"
#include "coppice/sparsity/prune/prune.h"
#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::test;
namespace prune = sparsity::prune;

namespace {

nn::ModulePtr pruned_once() {
  manual_seed(1);
  auto net = std::make_shared<nn::Sequential>(
      std::initializer_list<nn::ModulePtr>{std::make_shared<nn::Linear>(8, 6), std::make_shared<nn::Linear>(6, 4)});
  prune::l1_unstructured(*net->child("0"), "weight", 0.4);
  prune::random_unstructured(*net->child("0"), "bias", std::int64_t{2});
  prune::ln_structured(*net->child("1"), "weight", std::int64_t{1}, 2, 0);
  return net;
}

void step(nn::Module& net) {
  manual_seed(7);
  nn::SGD optimizer(net.parameters(), {.lr = 0.1, .momentum = 0.9, .weight_decay = 0.01});
  for (int i = 0; i < 3; ++i) {
    optimizer.zero_grad();
    sum(net(rand({5, 8}))).backward();
    optimizer.step();
  }
}

void go_on(nn::Module& net) {
  step(net);
  manual_seed(3);
  prune::l1_unstructured(*net.child("0"), "weight", 0.5);
  prune::random_unstructured(*net.child("0"), "weight", std::int64_t{3});
  prune::random_structured(*net.child("1"), "weight", std::int64_t{1}, 1);
  prune::ln_structured(*net.child("1"), "weight", std::int64_t{1}, 1, 0);
  step(net);
}

}  // namespace

TEST_SUITE("sparsity/prune/files") {
  TEST_CASE("save, load, train and prune on equals not having saved: masks, weights and results") {
    const TempDir dir;
    for (const bool whole : {false, true}) {
      CAPTURE(whole);
      const nn::ModulePtr kept = pruned_once();
      nn::save_model(*kept, dir / "m.safetensors", {}, {.masked_values = whole});
      const nn::ModulePtr loaded = nn::load_model(dir / "m.safetensors");
      loaded->train();
      go_on(*kept);
      go_on(*loaded);
      for (const auto& [path, name] : {std::pair("0", "weight"), std::pair("0", "bias"), std::pair("1", "weight")}) {
        const nn::Module &a = *kept->child(path), &b = *loaded->child(path);
        CHECK(a.tensor(cat(name, "_mask")) == b.tensor(cat(name, "_mask")));
        CHECK(a.tensor(name).detach() == b.tensor(name).detach());
      }
      const Tensor x = rand({3, 8});
      CHECK((*kept)(x) == (*loaded)(x));
    }
  }
}
