#include "hostile/child.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <stdexcept>

namespace coppice::test {
namespace {

/// Pages of this process from /proc/self/statm: 0 = address space, 1 = resident.
std::int64_t pages(int field) {
  std::ifstream file("/proc/self/statm");
  std::int64_t value = 0;
  for (int i = 0; i <= field; ++i) file >> value;
  return value;
}

void limit(int resource, rlim_t value) {
  rlimit now{};
  ::getrlimit(static_cast<__rlimit_resource_t>(resource), &now);
  now.rlim_cur = value;
  ::setrlimit(static_cast<__rlimit_resource_t>(resource), &now);
}

}  // namespace

bool sanitized() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return true;
#elif defined(__has_feature)  // Clang's way to tell
  return __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
  return false;
#endif
}

ChildResult in_child(const std::function<std::string()>& work, unsigned seconds, std::uint64_t address_bytes) {
  const std::int64_t page = ::sysconf(_SC_PAGESIZE);
  const std::int64_t resident_kb = pages(1) * page / 1024;
  int ends[2];
  if (::pipe(ends) != 0) throw std::runtime_error("no pipe");
  std::fflush(nullptr);
  const unsigned allowed = sanitized() ? 10 * seconds : seconds;
  const pid_t pid = ::fork();
  if (pid < 0) throw std::runtime_error("no child");
  if (pid == 0) {
    ::close(ends[0]);
    for (const int number : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTERM, SIGINT}) std::signal(number, SIG_DFL);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_CPU, allowed);
    if (address_bytes != 0 && !sanitized()) limit(RLIMIT_AS, static_cast<rlim_t>(pages(0) * page) + address_bytes);
    ::alarm(60 * allowed);  // other processes may have the processors
    std::string said;
    try {
      said = work();
    } catch (const std::exception& error) {
      said = std::string("std::exception: ") + error.what();
    }
    if (said.empty()) said = "(nothing)";
    for (std::size_t done = 0; done < said.size();) {
      const ssize_t n = ::write(ends[1], said.data() + done, said.size() - done);
      if (n <= 0) ::_exit(1);
      done += static_cast<std::size_t>(n);
    }
    ::_exit(0);
  }
  ::close(ends[1]);
  ChildResult result;
  char buffer[4096];
  for (;;) {
    const ssize_t n = ::read(ends[0], buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    result.said.append(buffer, static_cast<std::size_t>(n));
  }
  ::close(ends[0]);
  int status = 0;
  rusage usage{};
  while (::wait4(pid, &status, 0, &usage) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  const auto to_seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  result.cpu_seconds = to_seconds(usage.ru_utime) + to_seconds(usage.ru_stime);
  result.grown_kb = usage.ru_maxrss - resident_kb;
  return result;
}

}  // namespace coppice::test
