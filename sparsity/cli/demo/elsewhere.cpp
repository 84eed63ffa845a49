#include "demo/elsewhere.h"

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cerrno>
#include <vector>

#include "app/exit.h"
#include "app/signals.h"
#include "coppice/engine/error.h"

extern char** environ;

namespace coppice::cli {

void run_elsewhere(const std::string& model, const std::string& input, const std::string& output) {
  std::vector<std::string> words{"coppice", "run", model, input, "-o", output, "--quiet", "--force", "--json"};
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", 1 /* O_WRONLY */, 0);
  pid_t child = 0;
  const int error = posix_spawn(&child, "/proc/self/exe", &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  int status = 0;
  pid_t ended = -1;
  while (error == 0 && (ended = waitpid(child, &status, 0)) < 0 && errno == EINTR) {
  }
  check_interrupt();
  // Ctrl-C in a terminal goes to both processes, and may have come before the other one had a handler.
  const int code = ended > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : kFailed;
  const int signal = ended > 0 && WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  if (code == kInterrupted || signal == SIGINT || signal == SIGTERM) throw Interrupted{};
  if (code != kDone) throw StateError(cat("[demo] 'coppice run ", model, "' failed in its own process"));
}

}  // namespace coppice::cli
