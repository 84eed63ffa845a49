#pragma once
// What all commands share: common flags, results on stdout, notes on stderr, exit codes.

#include <CLI/CLI.hpp>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "coppice/engine/io/limits.h"
#include "coppice/engine/io/safetensors.h"

namespace coppice::cli {

using Json = nlohmann::ordered_json;

enum Exit { kDone = 0, kFailed = 1, kUsage = 2, kInvalid = 3, kLimit = 4, kIo = 5, kMismatch = 6, kInterrupted = 130 };

/// Thrown at a safe point after Ctrl-C.
struct Interrupted {
  std::string left = "nothing was written";  ///< what stands on the disk
};
/// A wrong combination of options, found after parsing.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

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

/// Adds a line to the results; they reach stdout when the command is done.
void print(const std::string& line);
/// The results as one document; the schema's name stands first.
void print(const std::string& schema, Json document);
/// Sends the results. @throws IoError  if stdout is closed or full
void flush_results();
/// A line on stderr, unless --quiet.
void note(const App& app, const std::string& line);

/// Columns as wide as their longest cell, of which 100 bytes are shown at most; all but the first are flush right.
struct Table {
  std::vector<std::string> head;
  std::vector<std::vector<std::string>> rows;
  [[nodiscard]] std::string text() const;
};

/// "1,234,567"
[[nodiscard]] std::string grouped(std::int64_t n);
/// `value` with `digits` behind the point.
[[nodiscard]] std::string fixed(double value, int digits);
/// "90.0 %"
[[nodiscard]] std::string percent(double fraction);

/// Whether something stands at `path`, a link too. @throws IoError  for what no file replaces (a directory, pipe or
/// device), and where nobody can tell
[[nodiscard]] bool replaceable(const std::string& path);
/// Refuses to overwrite: an input ever, an existing file without `force`. @throws UsageError; IoError  for an output
/// that could not be written: now rather than after the work
void check_output(const std::string& output, const std::vector<std::string>& inputs, bool force);

/// Refuses names that promise another format than safetensors. @throws UsageError
void writes_safetensors(const std::string& output);
/// What --checksums asks for. @throws UsageError  if the output has another format
[[nodiscard]] SafetensorsWriteOptions write_options(const std::string& output, bool checksums);
/// Refuses an option that was given where it has no effect. @throws UsageError
void only_with(const CLI::Option& option, const std::string& what);
/// A number in [low, high]; unlike CLI::Range it refuses NaN.
[[nodiscard]] CLI::Validator finite(double low, double high);
/// A whole decimal number in [low, high], for transform(). Every integer option has it: the parser alone reads 010 as
/// eight, -1 as 2^64 - 1, and takes the nearest number for one that is too large.
[[nodiscard]] CLI::Validator whole(std::int64_t low, std::uint64_t high);

/// From here on a mapped file that somebody shortens ends the process with exit code 5 and a message that names it.
void catch_shortened_files();
/// Arms Ctrl-C; afterwards check_interrupt() throws once it was pressed. A second press ends the process at once.
void catch_interrupt();
/// @param left  what stands on the disk, for the message
void check_interrupt(const std::string& left = "nothing was written");
/// From here on the first press ends the process at once, for commands that have nothing to put away.
void interrupt_at_once();
/// Writes the output of a command: Ctrl-C waits until `save` is done, and is reported then.
void write_output(const std::string& output, const std::function<void()>& save);

/// A line on a terminal that shows how far a loop is, with the time left; nothing elsewhere.
class Progress {
 public:
  Progress(const App& app, std::string what, std::int64_t total);
  ~Progress();
  void update(std::int64_t done, const std::string& detail = "");

 private:
  bool shown_;
  std::string what_;
  std::int64_t total_;
  double start_;
};

void add_inspect(App& app);
void add_import(App& app);
void add_prune(App& app);
void add_finetune(App& app);
void add_pack(App& app);
void add_run(App& app);
void add_eval(App& app);
void add_bench(App& app);
void add_convert(App& app);
void add_verify(App& app);
void add_demo(App& app);

}  // namespace coppice::cli
