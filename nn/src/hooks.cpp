#include "coppice/nn/hooks.h"

#include <atomic>

namespace coppice::nn::detail {

std::uint64_t next_hook_id() {
  static std::atomic<std::uint64_t> next{1};
  return next.fetch_add(1);
}

}  // namespace coppice::nn::detail
