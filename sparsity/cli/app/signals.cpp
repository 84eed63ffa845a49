#include "app/signals.h"

#include <unistd.h>

#include <csignal>
#include <cstring>

#include "app/exit.h"
#include "coppice/engine/io/mapped_file.h"

namespace coppice::cli {
namespace {

volatile std::sig_atomic_t interrupted = 0;
volatile std::sig_atomic_t at_once = 0;

void on_interrupt(int) {
  constexpr char kText[] = "coppice: interrupted; nothing was written\n";
  if (at_once != 0) (void)!write(STDERR_FILENO, kText, sizeof kText - 1);
  if (at_once != 0 || interrupted != 0) _exit(kInterrupted);
  interrupted = 1;
}

/// Only what a signal handler may do.
void on_bus_error(int, siginfo_t* info, void*) {
  const char* path = mapped_path_at(info->si_addr);
  if (path == nullptr) {  // another fault: it happens again, and ends the process
    std::signal(SIGBUS, SIG_DFL);
    return;
  }
  char text[700] = "coppice: '";
  std::size_t at = std::strlen(text);
  const std::size_t length = std::strlen(path);  // at most 511
  std::memcpy(text + at, path, length);
  at += length;
  constexpr char kEnd[] = "' became shorter while it was read, or its disk failed\n";
  std::memcpy(text + at, kEnd, sizeof kEnd - 1);
  (void)!write(STDERR_FILENO, text, at + sizeof kEnd - 1);
  _exit(kIo);
}

}  // namespace

void catch_shortened_files() {
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  (void)sigaction(SIGBUS, &action, nullptr);
}

void catch_interrupt() {
  std::signal(SIGINT, on_interrupt);
  std::signal(SIGTERM, on_interrupt);
}

void check_interrupt(const std::string& left) {
  if (interrupted != 0) throw Interrupted{left};
}

void interrupt_at_once() {
  check_interrupt();
  at_once = 1;
}

void interrupt_later() {
  at_once = 0;
  check_interrupt();
}

bool interrupt_pending() { return interrupted != 0; }

}  // namespace coppice::cli
