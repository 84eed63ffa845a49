// The program: parses, runs one command, turns errors into messages and exit codes.
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <new>

#include "app.h"
#include "coppice/engine/checked.h"
#include "coppice/engine/error.h"
#include "coppice/engine/parallel.h"
#include "coppice/engine/version.h"
#include "coppice/engine/warn.h"

namespace {

using namespace coppice;
using namespace coppice::cli;

int complain(std::string_view message, int code) {
  std::cerr << "coppice: " << coppice::printable(message) << '\n';
  return code;
}

/// The message with the files that were read, if it names none of them: what a layer or an optimiser refuses, for one.
std::string about(const App& app, const std::string& message) {
  std::string names;
  for (const std::string& file : app.files) {
    const std::string name = quote_path(file);
    if (message.find(name) != message.npos) return message;
    names += (names.empty() ? " (with " : ", ") + name;
  }
  return names.empty() ? message : message + names + ")";
}

/// A setting that nobody can read would otherwise be as good as none, without a word.
void note_environment(const App& app) {
  if (const char* text = std::getenv("COPPICE_NUM_THREADS"); text != nullptr && app.threads == 0) {
    const std::string_view word(text);
    int count = 0;
    const auto [at, error] = std::from_chars(word.data(), word.data() + word.size(), count);
    if (error != std::errc() || at != word.data() + word.size() || count < 1 || count > 256)
      note(app, cat("note: COPPICE_NUM_THREADS must be in 1..256; '", word, "' is not used"));
  }
  if (const char* text = std::getenv("COPPICE_CPU_LEVEL"); text != nullptr)
    if (const std::string_view word(text); word != "v2" && word != "v3" && word != "v4")
      note(app, cat("note: COPPICE_CPU_LEVEL must be v2, v3 or v4; '", word, "' is not used"));
}

int guarded(App& app) {
  try {
    note_environment(app);
    if (app.threads > 0) set_num_threads(app.threads);
    const int code = app.action();
    flush_results();
    return code;
  } catch (const Interrupted& e) {
    return complain(cat("interrupted; ", e.left), kInterrupted);
  } catch (const UsageError& e) {
    return complain(e.what(), kUsage);
  } catch (const IoError& e) {
    return complain(about(app, e.what()), kIo);
  } catch (const LimitError& e) {
    return complain(about(app, e.what()), kLimit);
  } catch (const StateError& e) {
    return complain(about(app, e.what()), kFailed);
  } catch (const Error& e) {
    return complain(about(app, e.what()), kInvalid);
  } catch (const std::bad_alloc&) {
    return complain(about(app, "not enough memory"), kLimit);
  } catch (const std::exception& e) {
    return complain(e.what(), kFailed);
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is reported as a failed write
  std::signal(SIGXFSZ, SIG_IGN);  // and so is a file-size limit
  catch_shortened_files();
  catch_interrupt();
  App app;
  set_warning_sink([&app](const std::string& text) { note(app, "warning: " + coppice::printable(text)); });
  app.parser.name("coppice");
  app.parser.set_version_flag("--version", cat("coppice ", kVersion));
  app.parser.require_subcommand(1);
  app.parser.footer(
      "Exit codes: 0 done, 1 failed, 2 usage, 3 input rejected, 4 limit exceeded, 5 input/output, 6 verification\n"
      "mismatch, 130 interrupted. \"coppice COMMAND --help\" opens with examples.");
  add_inspect(app);
  add_import(app);
  add_prune(app);
  add_finetune(app);
  add_quantize(app);
  add_pack(app);
  add_unpack(app);
  add_run(app);
  add_eval(app);
  add_bench(app);
  add_convert(app);
  add_verify(app);
  add_demo(app);
  try {
    app.parser.parse(argc, argv);
  } catch (const CLI::Success& e) {
    const int code = app.parser.exit(e);
    return std::cout.flush() ? code : complain("[stdout] cannot write the help", kIo);
  } catch (const CLI::ParseError& e) {
    app.parser.exit(e, std::cerr, std::cerr);
    return kUsage;
  } catch (const Error& e) {  // a value that only its own type can judge, such as an amount
    return complain(e.what(), kUsage);
  }
  return guarded(app);
}
