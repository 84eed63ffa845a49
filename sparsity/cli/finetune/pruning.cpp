#include "finetune/pruning.h"

#include <algorithm>
#include <cmath>

#include "app.h"
#include "coppice/engine/error.h"
#include "coppice/sparsity/sparsifier/config_file.h"
#include "tensors.h"

namespace coppice::cli {
namespace {

/// @throws UsageError  for what the type refuses
template <class Parse>
auto parsed(const char* option, const std::string& text, Parse parse) {
  try {
    return parse(text);
  } catch (const ValueError& e) {
    throw UsageError(cat(option, ": ", e.what()));
  }
}

/// Why a weight is not pruned, in the words of the options.
std::string reason_of(const sparsity::LayerReport& layer) {
  return layer.dense_because == "not selected" ? "left out by --include or --exclude" : layer.dense_because;
}

}  // namespace

void PruningOptions::add_options(CLI::App* sub) {
  sub->add_option("--sparsity", sparsity_, "Share of zeros to reach gradually, of all selected weights together")
      ->check(finite(0, 1));
  sub->add_option("--block", block_,
                  "Prune whole blocks, such as 16x1 (16 outputs that share an input): those of least mean square of "
                  "all weights together");
  sub->add_option("--pattern", pattern_, "Keep n of every m neighbours of a row, such as 2:4");
  sub->add_option(
      "--config", config_,
      "JSON file with PyTorch's list of groups: [{\"tensor_fqn\": \"0.weight\", \"sparsity_level\": 0.8, "
      "\"sparse_block_shape\": [1, 4], \"zeros_per_block\": 4}, ...]; zeros_per_block are 4 unless given, as there");
  schedule_option_ =
      sub->add_option("--schedule", schedule_,
                      "How the level rises inside the ramp: cubic, linear, step (four stairs) or constant (at once)")
          ->check(CLI::IsMember({"cubic", "linear", "step", "constant"}))
          ->capture_default_str();
  ramp_option_ = sub->add_option("--ramp", ramp_, "Share of the epochs in which the sparsity rises")
                     ->check(finite(0.01, 1))
                     ->capture_default_str();
}

void PruningOptions::check(const NameFilter& names) const {
  const auto exclude = [](bool both, const char* a, const char* b) {
    if (both) throw UsageError(cat(a, " and ", b, " exclude each other"));
  };
  const bool block = !block_.empty(), pattern = !pattern_.empty(), config = !config_.empty();
  exclude(pattern && block, "--pattern", "--block");
  exclude(config && block, "--config", "--block");
  exclude(config && pattern, "--config", "--pattern");
  exclude(config && sparsity_, "--config", "--sparsity");
  exclude(config && !names.include.empty(), "--config", "--include");
  exclude(config && !names.exclude.empty(), "--config", "--exclude");
  if (block && !sparsity_) throw UsageError("--block needs --sparsity");
  if (!sparsity_ && !pattern && !config) {
    only_with(*ramp_option_, "--sparsity, --pattern or --config");
    only_with(*schedule_option_, "--sparsity, --pattern or --config");
  }
  if (schedule_ == "constant") only_with(*ramp_option_, "--schedule cubic, linear or step");
}

void PruningOptions::read(const App& app, const NameFilter& names, sparsity::FinetuneOptions& to) const {
  check(names);
  to.sparsity = sparsity_;
  to.ramp = ramp_;
  to.curve = sparsity::curve_of(schedule_);
  if (!block_.empty()) to.block = parsed("--block", block_, sparsity::Block::parse);
  if (!pattern_.empty()) {
    const sparsity::Pattern pattern = parsed("--pattern", pattern_, sparsity::Pattern::parse);
    const double level = pattern.sparsity();
    if (sparsity_ && std::abs(*sparsity_ - level) > 1e-9)
      throw UsageError(cat("--pattern ", pattern, " is a sparsity of ", level, ", not of ", *sparsity_));
    to.pattern = pattern;
  }
  if (!config_.empty()) {
    to.groups = sparsity::read_sparsifier_config(config_, app.read.limits);
    app.files.push_back(config_);
  }
}

Json layers_json(const std::vector<sparsity::LayerReport>& layers) {
  Json out = Json::array();
  for (const sparsity::LayerReport& l : layers)
    out.push_back({{"name", l.name},
                   {"weights", l.weights},
                   {"zeros", l.zeros},
                   {"dense_because", l.dense_because.empty() ? Json() : Json(reason_of(l))}});
  return out;
}

void print_layers(const std::vector<sparsity::LayerReport>& layers) {
  if (layers.empty()) return;
  Table table{{"weight", "entries", "zeros", ""}, {}};
  for (const sparsity::LayerReport& l : layers) {
    const double zeros = static_cast<double>(l.zeros) / static_cast<double>(std::max<std::int64_t>(1, l.weights));
    table.rows.push_back({printable(l.name), grouped(l.weights), percent(zeros),
                          l.dense_because.empty() ? "" : cat("stays dense: ", reason_of(l))});
  }
  print(table.text());
}

}  // namespace coppice::cli
