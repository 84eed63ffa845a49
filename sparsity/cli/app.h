#pragma once
// The program, and the parts that all commands share.

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "app/exit.h"
#include "app/outputs.h"
#include "app/progress.h"
#include "app/results.h"
#include "app/signals.h"
#include "app/tables.h"
#include "app/validators.h"
#include "coppice/engine/io/limits.h"

namespace coppice::cli {

/// The program: its parser, the common flags, and the action of the command that was named.
struct App {
  CLI::App parser{"Prune networks trained by PyTorch, and make the zeros pay: a smaller file, a faster program."};
  std::function<int()> action;
  bool json = false;
  bool quiet = false;
  int threads = 0;
  ReadOptions read;
  mutable std::vector<std::string> files;  ///< that were read, for messages that name none

  /// A command with the common flags. Its help opens with `examples`, one per line.
  CLI::App* command(const std::string& name, const std::string& description, const std::string& examples);
};

void add_inspect(App& app);
void add_import(App& app);
void add_prune(App& app);
void add_finetune(App& app);
void add_quantize(App& app);
void add_pack(App& app);
void add_unpack(App& app);
void add_run(App& app);
void add_eval(App& app);
void add_bench(App& app);
void add_convert(App& app);
void add_verify(App& app);
void add_demo(App& app);

}  // namespace coppice::cli
