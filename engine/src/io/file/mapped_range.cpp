#include "io/file/mapped_range.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

#include "coppice/engine/checked.h"
#include "coppice/engine/io/mapped_file.h"

namespace coppice {
namespace {

std::atomic<MappedRange*> ranges{nullptr};

MappedRange* unused() {
  for (MappedRange* range = ranges.load(); range != nullptr; range = range->next)
    if (!range->taken.exchange(true)) return range;
  auto* range = new MappedRange;
  range->taken = true;
  range->next = ranges.load();
  while (!ranges.compare_exchange_weak(range->next, range)) {
  }
  return range;
}

}  // namespace

MappedRange* enter_range(const std::byte* begin, std::size_t bytes, const std::string& path) {
  const std::string shown = printable(path);  // a signal handler could not do that
  MappedRange* range = unused();
  const std::size_t from = shown.size() - std::min(shown.size(), sizeof range->path - 1);
  *std::copy(shown.begin() + static_cast<std::ptrdiff_t>(from), shown.end(), range->path) = '\0';
  range->begin = begin;
  range->bytes = bytes;
  return range;
}

void leave_range(MappedRange* range) noexcept {
  if (range == nullptr) return;
  range->bytes = 0;
  range->taken = false;
}

const char* mapped_path_at(const void* address) noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  for (const MappedRange* range = ranges.load(); range != nullptr; range = range->next) {
    const auto begin = reinterpret_cast<std::uintptr_t>(range->begin.load());
    if (at >= begin && at - begin < range->bytes.load()) return range->path;
  }
  return nullptr;
}

void forget_pages(std::span<const std::byte> bytes) noexcept {
  if (bytes.empty() || mapped_path_at(bytes.data()) == nullptr || mapped_path_at(&bytes.back()) == nullptr) return;
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto first = (reinterpret_cast<std::uintptr_t>(bytes.data()) + page - 1) / page * page;
  const auto end = reinterpret_cast<std::uintptr_t>(bytes.data() + bytes.size()) / page * page;
  if (first < end) (void)::madvise(reinterpret_cast<void*>(first), end - first, MADV_DONTNEED);  // a wish
}

}  // namespace coppice
