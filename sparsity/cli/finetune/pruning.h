#pragma once
// The options of `finetune` that say what is pruned and when, and what it tells of the weights.

#include <optional>
#include <string>
#include <vector>

#include "app/results.h"
#include "coppice/sparsity/training/finetune.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace coppice::cli {

struct App;
struct NameFilter;

class PruningOptions {
 public:
  void add_options(CLI::App* sub);
  /// The file of --config; empty without it.
  [[nodiscard]] const std::string& config() const { return config_; }
  /// Says it to the library. Reads the file of --config.
  /// @throws UsageError  for options that exclude each other or mean nothing; and as read_sparsifier_config()
  void read(const App& app, const NameFilter& names, sparsity::FinetuneOptions& to) const;

 private:
  void check(const NameFilter& names) const;

  std::optional<double> sparsity_;
  std::string block_, pattern_, config_, schedule_ = "cubic";
  double ramp_ = sparsity::FinetuneOptions{}.ramp;
  const CLI::Option *schedule_option_ = nullptr, *ramp_option_ = nullptr;
};

/// The document's "layers".
[[nodiscard]] Json layers_json(const std::vector<sparsity::LayerReport>& layers);
/// A line for each weight; nothing if no sparsifier chose.
void print_layers(const std::vector<sparsity::LayerReport>& layers);

}  // namespace coppice::cli
