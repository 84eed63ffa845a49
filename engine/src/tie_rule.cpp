#include "coppice/engine/tie_rule.h"

#include <atomic>

namespace coppice {
namespace {

constexpr std::uint8_t kNone = 0xFF;  // no scope on this thread
std::atomic<TieRule> of_process{TieRule::lowest_index};
thread_local std::uint8_t of_thread = kNone;

}  // namespace

TieRule default_tie_rule() noexcept {
  return of_thread == kNone ? of_process.load(std::memory_order_relaxed) : static_cast<TieRule>(of_thread);
}

void set_default_tie_rule(TieRule rule) noexcept { of_process.store(rule, std::memory_order_relaxed); }

TieRuleScope::TieRuleScope(TieRule rule) noexcept : before_(of_thread) { of_thread = static_cast<std::uint8_t>(rule); }
TieRuleScope::~TieRuleScope() { of_thread = before_; }

}  // namespace coppice
