#include "../data.h"
#include "../tensors.h"
#include "coppice/engine/checked.h"

namespace coppice::cli {
namespace {

struct Options {
  std::string model, data, split = "test";
  std::int64_t batch = 256;
  const CLI::Option* split_option = nullptr;
};

int run(const App& app, const Options& o) {
  interrupt_at_once();
  if (o.data != "digits") only_with(*o.split_option, "--data digits");
  const nn::ModulePtr model = load_model_file(app, o.model);
  const sparsity::Dataset data = load_data(app, o.data, o.split == "test" ? Split::test : Split::train, *model);
  if (const auto sample = sparsity::first_nan(data.x))  // it would count as wrong, and the loss be NaN
    throw ValueError(cat("sample ", *sample, " of ", quote_path(data_files(o.data).front()), " holds NaN"));
  const sparsity::Evaluation e = sparsity::evaluate(*model, data, o.batch);
  if (app.json)
    print("coppice.eval/1", {{"model", o.model},
                             {"data", o.data},
                             {"correct", e.correct},
                             {"count", e.count},
                             {"accuracy", e.accuracy()},
                             {"loss", e.loss}});
  else
    print(cat(o.model, ": ", e.correct, " of ", e.count, " correct (", percent(e.accuracy()), "), loss ",
              fixed(e.loss, 4)));
  return kDone;
}

}  // namespace

void add_eval(App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* sub = app.command("eval", "Accuracy and mean cross-entropy of a model.",
                              "  coppice eval model.safetensors --data digits\n"
                              "  coppice eval packed.safetensors --data X.npy,Y.npy --json");
  sub->add_option("MODEL", o->model, "Model file")->required();
  sub->add_option("--data", o->data, "\"digits\" (built in) or X.npy,Y.npy")->required();
  o->split_option = sub->add_option("--split", o->split, "Which part of the digits")
                        ->check(CLI::IsMember({"test", "train"}))
                        ->capture_default_str();
  sub->add_option("--batch", o->batch, "Samples at a time")->transform(whole(1, INT64_MAX))->capture_default_str();
  sub->callback([&app, o] { app.action = [&app, o] { return run(app, *o); }; });
}

}  // namespace coppice::cli
