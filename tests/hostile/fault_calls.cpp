#include "hostile/fault_calls.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>

namespace coppice::test {
namespace {

struct Plan {
  bool active = false;
  Fault fault = Fault::none;
  int at = 0;
  std::vector<std::string> calls;
} plan;

/// Whether the call must fail; errno is set then.
bool fails(const char* name) {
  if (!plan.active) return false;
  plan.calls.emplace_back(name);
  const int now = static_cast<int>(plan.calls.size());
  const bool writes = plan.calls.back() == "write" || plan.calls.back() == "pwrite" || plan.calls.back() == "fsync";
  if (plan.fault == Fault::kill && now == plan.at) ::kill(::getpid(), SIGKILL);
  errno = plan.fault == Fault::io_error ? EIO : plan.fault == Fault::interrupted ? EINTR : ENOSPC;
  if (plan.fault == Fault::no_space) return now >= plan.at && writes;
  return now == plan.at && (plan.fault == Fault::io_error || plan.fault == Fault::interrupted);
}

bool cannot_map() { return plan.active && plan.fault == Fault::no_mapping; }

bool is_short() {
  return plan.active && plan.fault == Fault::short_write && static_cast<int>(plan.calls.size()) == plan.at;
}

}  // namespace

void plan_fault(Fault fault, int at) { plan = {true, fault, at, {}}; }
void no_faults() { plan.active = false; }
const std::vector<std::string>& calls_made() { return plan.calls; }

}  // namespace coppice::test

using coppice::test::fails;
using coppice::test::is_short;

// The calls themselves. A system call returns the error as errno already.
extern "C" {
int open(const char* path, int flags, ...) {
  unsigned mode = 0;
  if ((flags & O_CREAT) != 0) {
    va_list list;
    va_start(list, flags);
    mode = va_arg(list, unsigned);
    va_end(list);
  }
  return fails("open") ? -1 : static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}
ssize_t write(int fd, const void* bytes, std::size_t count) {
  if (fails("write")) return -1;
  return ::syscall(SYS_write, fd, bytes, is_short() ? (count + 1) / 2 : count);
}
ssize_t pwrite(int fd, const void* bytes, std::size_t count, off_t offset) {
  if (fails("pwrite")) return -1;
  return ::syscall(SYS_pwrite64, fd, bytes, is_short() ? (count + 1) / 2 : count, offset);
}
int fsync(int fd) { return fails("fsync") ? -1 : static_cast<int>(::syscall(SYS_fsync, fd)); }
int rename(const char* from, const char* to) noexcept {
  return fails("rename") ? -1 : static_cast<int>(::syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}
/// The descriptor is gone even when close() fails, as on Linux.
int close(int fd) {
  const bool failed = fails("close");
  const int code = errno;
  const long result = ::syscall(SYS_close, fd);
  if (!failed) return static_cast<int>(result);
  errno = code;
  return -1;
}
int flock(int fd, int operation) noexcept {
  return fails("flock") ? -1 : static_cast<int>(::syscall(SYS_flock, fd, operation));
}
int fchmod(int fd, mode_t mode) noexcept {
  return fails("fchmod") ? -1 : static_cast<int>(::syscall(SYS_fchmod, fd, mode));
}
void* mmap(void* base, std::size_t bytes, int protection, int flags, int fd, off_t offset) noexcept {
  if (fd >= 0 && coppice::test::cannot_map()) {
    errno = ENODEV;
    return MAP_FAILED;
  }
  const long result = ::syscall(SYS_mmap, base, bytes, protection, flags, fd, offset);
  return reinterpret_cast<void*>(result);  // -1 is MAP_FAILED
}
int unlink(const char* path) noexcept {
  return fails("unlink") ? -1 : static_cast<int>(::syscall(SYS_unlinkat, AT_FDCWD, path, 0));
}
}
