#include "app/memory.h"

#include <fstream>
#include <string>

namespace coppice::cli {
namespace {

std::uint64_t kilobytes_of(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    std::uint64_t value = 0;
    if (word == key && status >> value) return value * 1024;
  }
  return 0;
}

}  // namespace

std::uint64_t resident_memory() { return kilobytes_of("VmRSS:"); }
std::uint64_t peak_memory() { return kilobytes_of("VmHWM:"); }

}  // namespace coppice::cli
