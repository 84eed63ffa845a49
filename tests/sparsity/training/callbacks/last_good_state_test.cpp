#include "coppice/sparsity/training/callbacks/last_good_state.h"

#include <cmath>

#include "coppice/engine.h"
#include "coppice/engine/warn.h"
#include "coppice/nn.h"
#include "coppice/sparsity/mask_ops.h"
#include "coppice/sparsity/scheduler/lambda.h"
#include "coppice/sparsity/sparsifier/weight_norm.h"
#include "coppice/sparsity/training/callbacks/sparsifier_callback.h"
#include "coppice/sparsity/training/trainer.h"
#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::test;
using namespace coppice::sparsity;
using nn::Linear;

namespace {

/// Keeps copies of the model's tensors after each epoch, and may spoil the model after one.
class Watch final : public Callback {
 public:
  explicit Watch(std::int64_t spoil = -1) : spoil_(spoil) {}
  void on_train_start(TrainContext& context) override { keep(context); }
  void on_train_epoch_end(TrainContext& context) override {
    if (context.epoch == spoil_) {
      const NoGrad guard;
      context.model->parameters()[0].set_({0, 0}, NAN);
    }
    keep(context);
  }
  void on_exception(TrainContext& context, const std::exception_ptr&) override { end = context; }
  std::vector<NamedTensors> seen;
  TrainContext end;

 private:
  void keep(const TrainContext& context) {
    NamedTensors copy;
    for (const auto& [name, tensor] : nn::all_tensors(*context.model)) copy.add(name, tensor.clone());
    seen.push_back(copy);
  }
  std::int64_t spoil_;
};

struct Run {
  nn::ModulePtr model = [] {
    manual_seed(0);
    return std::make_shared<nn::Sequential>(
        std::initializer_list<nn::ModulePtr>{std::make_shared<Linear>(8, 16), std::make_shared<Linear>(16, 2)});
  }();
  nn::Adam optimizer{model->parameters(), {.lr = 0.01}};
  std::shared_ptr<SparsifierCallback> pruning = std::make_shared<SparsifierCallback>(
      [] { return std::make_unique<WeightNormSparsifier>(0.5); },
      [](BaseSparsifier& s) {
        return std::make_unique<LambdaSL>(
            s, LevelFunction([](std::int64_t epoch) { return std::min(1.0, static_cast<double>(epoch) / 4); }));
      });
  std::shared_ptr<LastGoodState> good = std::make_shared<LastGoodState>();
  std::shared_ptr<Watch> watch;
  std::vector<Checkpoint::Part> more;  // behind that of the pruning

  /// Two batches in an epoch; the loss of batch number `bad` is NaN. @return  what was said
  std::string fit(std::int64_t bad, std::int64_t spoil = -1) {
    watch = std::make_shared<Watch>(spoil);
    good->add(pruning->checkpoint_part());
    for (const Checkpoint::Part& part : more) good->add(part);
    Generator g(1);
    const Tensor x = randn({32, 8}, Dtype::f32, &g);
    std::int64_t batches = 0;
    Trainer trainer({.epochs = 6, .batch = 16}, [&](const Tensor& output, const Tensor& target) {
      const Tensor loss = cross_entropy(output, target);
      return ++batches == bad ? mul(loss, Tensor::of(static_cast<float>(NAN))) : loss;
    });
    trainer.add(pruning).add(watch).add(good);
    return outcome(
        [&] { return trainer.fit(*model, optimizer, make_dataset(x, argmax(narrow(x, 1, 0, 2), 1))).epoch; });
  }
};

}  // namespace

TEST_SUITE("sparsity/training/callbacks/last_good_state") {
  TEST_CASE("a NaN loss leaves model, masks, levels and position as after the last good epoch") {
    Run run;
    const std::string said = run.fit(8);  // in the fourth epoch
    CHECK(said.find("in epoch 4, step 8") != std::string::npos);
    CHECK(run.good->epochs() == 3);
    check_same_bits(nn::all_tensors(*run.model), run.watch->seen[3]);
    CHECK(sparsity_of(run.pruning->sparsifier()->groups()[0].mask()) == 0.25);
    CHECK(run.pruning->sparsifier()->groups()[0].config.number("sparsity_level") == 0.375);
    CHECK(run.pruning->scheduler()->last_epoch() == 3);
  }

  TEST_CASE("in the first epoch the start of the training is the last good state") {
    Run run;
    CHECK(run.fit(2) != "accepted");
    CHECK(run.good->epochs() == 0);
    check_same_bits(nn::all_tensors(*run.model), run.watch->seen[0]);
  }

  TEST_CASE("an epoch that leaves numbers which are not finite is no good one") {
    Run run;
    CHECK(run.fit(0, 2) != "accepted");  // the third epoch ends with a NaN in the model
    CHECK(run.good->epochs() == 2);
    check_same_bits(nn::all_tensors(*run.model), run.watch->seen[2]);
  }

  TEST_CASE("a part that does not come back leaves the others as they are, and is warned of") {
    Run run;
    const CatchWarnings warned;
    run.more.push_back({[](NamedTensors&) {}, [](const NamedTensors&, const TrainContext&,
                                                 const Limits&) { throw ValueError("not this part"); }});
    CHECK(run.fit(0, 2) != "accepted");
    CHECK(run.good->epochs() == -1);
    CHECK(run.pruning->scheduler()->last_epoch() == 3);  // the good state was of the second epoch
    bool said = false;
    for (const std::string& text : warned.texts())
      said = said || text == "[LastGoodState] the last good state is not restored: not this part";
    CHECK(said);
  }

  TEST_CASE("a training that ends well is left alone; parts need both functions") {
    Run run;
    CHECK(run.fit(0) == "accepted");
    CHECK(run.good->epochs() == 6);
    CHECK(sparsity_of(run.model->child("0")->tensor("weight")) == 0.5);
    CHECK_THROWS_AS(run.good->add({}), ValueError);
  }
}
