#include "coppice/engine/storage.h"

#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <new>
#include <vector>

#include "coppice/engine/error.h"

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace coppice {
namespace {

constexpr std::size_t kAlign = 64;
constexpr std::size_t kHugePage = std::size_t{1} << 21;
constexpr std::size_t kTail = 64;
constexpr std::size_t kLargestPooled = std::size_t{1} << 24;  // 16 MB: larger blocks are rare and better returned
constexpr std::size_t kPoolBytes = std::size_t{1} << 26;      // 64 MB per thread

#if defined(__has_feature)  // Clang's word for it
#if __has_feature(address_sanitizer)
#define COPPICE_ADDRESS_SANITIZER
#endif
#elif defined(__SANITIZE_ADDRESS__)  // GCC's
#define COPPICE_ADDRESS_SANITIZER
#endif
#ifdef COPPICE_ADDRESS_SANITIZER
constexpr bool kPooling = false;  // reuse would hide reads after free
#else
constexpr bool kPooling = true;
#endif

/// Free blocks of one thread by size class (powers of two).
class Pool {
 public:
  ~Pool() {
    for (auto& blocks : free_)
      for (std::byte* block : blocks) std::free(block);
  }
  std::byte* take(std::size_t capacity) {
    auto& blocks = free_[index(capacity)];
    if (blocks.empty()) return nullptr;
    std::byte* block = blocks.back();
    blocks.pop_back();
    held_ -= capacity;
    return block;
  }
  bool give(std::byte* block, std::size_t capacity) {
    if (held_ + capacity > kPoolBytes) return false;
    auto& blocks = free_[index(capacity)];
    if (blocks.size() == blocks.capacity()) {
      if (blocks.size() >= 256) return false;
      try {
        blocks.reserve(blocks.size() * 2 + 8);
      } catch (const std::bad_alloc&) {
        return false;  // called by destructors: without memory for the list the block goes back to the system
      }
    }
    blocks.push_back(block);
    held_ += capacity;
    return true;
  }

 private:
  static std::size_t index(std::size_t capacity) { return static_cast<std::size_t>(std::countr_zero(capacity)); }
  std::array<std::vector<std::byte*>, 32> free_;
  std::size_t held_ = 0;
};

// A storage may outlive its thread's pool (thread exit, static destruction): the flag then sends it to free().
thread_local bool pool_alive = false;
Pool* pool() {
  struct Holder {
    Pool pool;
    Holder() { pool_alive = true; }
    ~Holder() { pool_alive = false; }
  };
  thread_local bool created = false;
  if (created && !pool_alive) return nullptr;
  created = true;
  thread_local Holder holder;
  return &holder.pool;
}

/// Memory from the system; null if there is none. Fetching a block of 64 MB in pages of 4 KB takes 50 ms, in huge pages
/// 8 (bench/prune_bench, identity): more than most operations on it.
std::byte* take(std::size_t bytes) {
  void* block = nullptr;
  const bool huge = bytes >= 2 * kHugePage;
  if (posix_memalign(&block, huge ? kHugePage : kAlign, bytes) != 0) return nullptr;
#ifdef MADV_HUGEPAGE
  if (huge) (void)madvise(block, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);  // a wish: refusal costs time only
#endif
  return static_cast<std::byte*>(block);
}

}  // namespace

Storage::Storage(std::byte* data, std::size_t bytes, std::size_t capacity, std::shared_ptr<const void> keeper)
    : data_(data), bytes_(bytes), capacity_(capacity), keeper_(std::move(keeper)) {}

std::shared_ptr<Storage> Storage::allocate(std::size_t bytes) {
  if (bytes > PTRDIFF_MAX - 2 * kAlign) throw LimitError(cat("[Storage] cannot allocate ", bytes, " bytes"));
  std::size_t capacity = (bytes + kTail + kAlign - 1) / kAlign * kAlign;
  std::byte* block = nullptr;
  if (kPooling && capacity <= kLargestPooled) {
    capacity = std::bit_ceil(capacity);
    if (Pool* p = pool()) block = p->take(capacity);
  }
  if (block == nullptr) block = take(capacity);
  if (block == nullptr) throw LimitError(cat("[Storage] the system has no memory for ", bytes, " bytes"));
  std::memset(block + bytes, 0, capacity - bytes < kTail ? capacity - bytes : kTail);
  // The block has one owner at every moment, whichever of the two allocations fails.
  const auto release = [](std::byte* b) { std::free(b); };
  std::unique_ptr<std::byte, decltype(release)> owned(block, release);
  std::unique_ptr<Storage> storage(new Storage(block, bytes, capacity, nullptr));
  (void)owned.release();
  return std::shared_ptr<Storage>(std::move(storage));
}

std::shared_ptr<Storage> Storage::adopt(std::byte* data, std::size_t bytes, std::shared_ptr<const void> keeper) {
  return std::shared_ptr<Storage>(new Storage(data, bytes, 0, std::move(keeper)));
}

Storage::~Storage() {
  if (capacity_ == 0) return;
  if (kPooling && capacity_ <= kLargestPooled) {
    Pool* p = pool();
    if (p != nullptr && p->give(data_, capacity_)) return;
  }
  std::free(data_);
}

}  // namespace coppice
