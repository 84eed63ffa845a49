#include "../data.h"
#include "../measure.h"
#include "../tensors.h"
#include "coppice/engine/autograd.h"
#include "coppice/engine/cpu.h"
#include "coppice/engine/create.h"
#include "coppice/engine/parallel.h"
#include "coppice/engine/random.h"

namespace coppice::cli {
namespace {

struct Options {
  std::string model, versus;
  std::vector<std::int64_t> shape;
  int rounds = 101;
};

constexpr std::int64_t kBatches[] = {1, 64};

/// What --shape says behind its first number, of `n` samples.
Shape shape_of(std::vector<std::int64_t> sizes, std::int64_t n) {
  sizes[0] = n;
  return shape_option(sizes);
}

int run(const App& app, const Options& o) {
  interrupt_at_once();
  if (!o.shape.empty()) (void)shape_of(o.shape, kBatches[1]);  // found before the models are read
  std::vector<std::string> files{o.model};
  if (!o.versus.empty()) files.push_back(o.versus);
  std::vector<nn::ModulePtr> models;
  std::vector<const nn::Module*> racers;
  for (const std::string& file : files) {
    models.push_back(load_model_file(app, file));
    racers.push_back(models.back().get());
  }
  std::vector<std::vector<Latency>> results;
  for (const std::int64_t batch : kBatches) {
    Generator generator(0);
    const Shape shape = o.shape.empty() ? digits_shape(*models[0], batch) : shape_of(o.shape, batch);
    results.push_back(measure(racers, rand(shape, Dtype::f32, &generator), o.rounds));
  }
  Table table{{"model", "file bytes", "memory bytes", "b1 p50 ms", "p95", "b64 p50 ms", "p95"}, {}};
  Json list = Json::array();
  for (std::size_t i = 0; i < files.size(); ++i) {
    const auto disk = static_cast<std::int64_t>(file_size(files[i]));
    const std::int64_t memory = memory_bytes(*models[i]);
    table.rows.push_back({files[i], grouped(disk), grouped(memory), fixed(results[0][i].p50, 4),
                          fixed(results[0][i].p95, 4), fixed(results[1][i].p50, 4), fixed(results[1][i].p95, 4)});
    list.push_back({{"model", files[i]},
                    {"file_bytes", disk},
                    {"memory_bytes", memory},
                    {"batch_1", {{"p50_ms", results[0][i].p50}, {"p95_ms", results[0][i].p95}}},
                    {"batch_64", {{"p50_ms", results[1][i].p50}, {"p95_ms", results[1][i].p95}}}});
  }
  if (app.json) {
    print("coppice.bench/1",
          {{"threads", num_threads()}, {"instructions", std::string(name_of(cpu_level()))}, {"models", list}});
    return kDone;
  }
  print(table.text());
  if (files.size() == 2)
    print(cat(o.model, " against ", o.versus, ": ", fixed(results[0][1].p50 / results[0][0].p50, 2),
              " times as fast at batch 1, ", fixed(results[1][1].p50 / results[1][0].p50, 2), " times at batch 64"));
  print(cat(num_threads(), num_threads() == 1 ? " thread, " : " threads, ", name_of(cpu_level()),
            "; the models took turns"));
  return kDone;
}

}  // namespace

void add_bench(App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* sub =
      app.command("bench",
                  "Latency at batch 1 and 64 (median and 95th percentile), bytes on disk and in memory. Two\n"
                  "models are measured in turn, in one run.",
                  "  coppice bench packed.safetensors --vs model.safetensors\n"
                  "  coppice bench model.safetensors --shape 1,3,224,224 --threads 1");
  sub->add_option("MODEL", o->model, "Model file")->required();
  sub->add_option("--vs", o->versus, "Another model to compare with");
  sub->add_option("--shape", o->shape, "Shape of an input, batch first (default: that of the built-in digits)")
      ->delimiter(',')
      ->transform(whole(0, INT64_MAX));
  sub->add_option("--rounds", o->rounds, "Measurements of each")->transform(whole(1, 100000))->capture_default_str();
  sub->callback([&app, o] { app.action = [&app, o] { return run(app, *o); }; });
}

}  // namespace coppice::cli
