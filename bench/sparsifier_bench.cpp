// Steps of WeightNormSparsifier against one reading of the weight; sparsifier_steps.h says how to call this.
#include "sparsifier_steps.h"

namespace {

using namespace coppice;
using namespace coppice::sparsity;

struct Case {
  const char* name;
  double level;
  Block block;
  std::int64_t zeros;
  int norm = 2;
};
// The second line: levels of one, in which no block has to be chosen; blocks as tall as the weight; magnitudes.
const std::vector<Case> kCases{{"1x1", 0.5, {1, 1}, 1},       {"1x4", 0.5, {1, 4}, 4},
                               {"4x1", 0.5, {4, 1}, 4},       {"16x1", 0.5, {16, 1}, 16},
                               {"4x4", 0.5, {4, 4}, 16},      {"2of4", 1.0, {1, 4}, 2},
                               {"1x4_2", 0.5, {1, 4}, 2},     {"4096x1", 0.5, {4096, 1}, 4096},
                               {"L1_1x1", 0.5, {1, 1}, 1, 1}, {"L1_1x4", 0.5, {1, 4}, 4, 1}};

/// With the model that it works on.
std::unique_ptr<WeightNormSparsifier> make(const Case& c, const Tensor& weight) {
  auto model = std::make_shared<nn::Sequential>();
  auto linear = std::make_shared<nn::Linear>(weight.size(1), weight.size(0), false);
  {
    const NoGrad guard;
    linear->tensor("weight").copy_(weight);
  }
  model->append(linear);
  auto out = std::make_unique<WeightNormSparsifier>(c.level, c.block, c.zeros, c.norm);
  out->prepare(model);
  return out;
}

}  // namespace

int main(int argc, char** argv) { return coppice::bench::run(argc, argv, kCases); }
