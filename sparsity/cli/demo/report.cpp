#include "demo/report.h"

#include "coppice/engine/cpu.h"
#include "coppice/engine/parallel.h"
#include "finetune/pruning.h"
#include "tensors.h"

namespace coppice::cli {
namespace {

double bytes_of(const DemoEntry& e) { return static_cast<double>(file_size(e.file)); }

std::vector<std::string> gain(const std::string& name, const DemoEntry& dense, const DemoEntry& packed) {
  const auto ratio = [](double a, double b) { return fixed(a / b, 2) + "x"; };
  return {name,
          "",
          "",
          ratio(bytes_of(dense), bytes_of(packed)),
          ratio(static_cast<double>(memory_bytes(*dense.model)), static_cast<double>(memory_bytes(*packed.model))),
          ratio(dense.one.p50, packed.one.p50),
          ratio(dense.many.p50, packed.many.p50)};
}

constexpr std::size_t kPacked = 4;  // of the entries

}  // namespace

Json DemoReport::json() const {
  Json models = Json::array();
  for (const DemoEntry& e : entries)
    models.push_back({{"name", e.name},
                      {"file", e.file},
                      {"correct", e.correct},
                      {"count", samples},
                      {"zeros", e.count.zeros},
                      {"weights", e.count.weights},
                      {"file_bytes", file_size(e.file)},
                      {"memory_bytes", memory_bytes(*e.model)},
                      {"batch_1_ms", e.one.p50},
                      {"batch_64_ms", e.many.p50}});
  Json reached = Json::object();
  for (const auto& [block, layers] : blocks) reached[block] = layers_json(layers);
  return {{"schema", "coppice.demo/1"},
          {"seed", seed},
          {"threads", num_threads()},
          {"instructions", std::string(name_of(cpu_level()))},
          {"epochs", epochs},
          {"models", models},
          {"packed_in_own_process_correct", elsewhere},
          {"packed_blocks_in_own_process_correct", blocks_elsewhere},
          {"layers", Json::parse(sparsity::decisions_to_json(decisions))},
          {"blocks", reached},
          {"block_layers", Json::parse(sparsity::decisions_to_json(block_decisions))}};
}

void DemoReport::print() const {
  Table table{{"model", "correct", "zeros", "file", "memory", "batch 1", "batch 64"}, {}};
  for (const DemoEntry& e : entries)
    table.rows.push_back({e.name, cat(e.correct, "/", samples),
                          percent(static_cast<double>(e.count.zeros) / static_cast<double>(e.count.weights)),
                          grouped(static_cast<std::int64_t>(bytes_of(e))), grouped(memory_bytes(*e.model)),
                          fixed(e.one.p50, 4) + " ms", fixed(e.many.p50, 3) + " ms"});
  table.rows.push_back(gain("dense / packed", entries.front(), entries[kPacked]));
  table.rows.push_back(gain("dense / packed blocks", entries.front(), entries.back()));
  cli::print(table.text());
  cli::print(cat("\nThe packed files, each run by a process of its own: ", elsewhere, " and ", blocks_elsewhere, " of ",
                 samples, " correct."));
  cli::print(cat("Times are medians, the models taking turns, on ", num_threads(),
                 num_threads() == 1 ? " thread" : " threads", " with ", name_of(cpu_level()), " instructions."));
  for (const auto& [block, layers] : blocks)
    for (const sparsity::LayerReport& l : layers)
      if (!l.dense_because.empty())
        cli::print(cat("In blocks of ", block, " ", l.name, " stays dense: ", l.dense_because, "."));
  cli::print("\nHow each layer is packed:");
  for (const auto& d : decisions) cli::print(cat("  ", d.path, " ", d.type, ": ", d.reason));
  cli::print("And where zeros stand in blocks:");
  for (const auto& d : block_decisions) cli::print(cat("  ", d.path, " ", d.type, ": ", d.reason));
}

}  // namespace coppice::cli
