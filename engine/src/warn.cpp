#include "coppice/engine/warn.h"

#include <iostream>
#include <mutex>
#include <set>
#include <utility>

namespace coppice {
namespace {

constexpr std::size_t kRemembered = 4096;

/// One lock for all: warnings are rare.
struct State {
  std::mutex mutex;
  WarningSink sink;
  std::set<std::string, std::less<>> sent;
  bool always = false;
  CatchWarnings* catching = nullptr;
};

State& state() {
  static State one;
  return one;
}

}  // namespace

void warn(std::string_view text) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  if (s.catching != nullptr) return void(s.catching->texts_.emplace_back(text));
  if (!s.always) {
    if (s.sent.contains(text)) return;
    if (s.sent.size() < kRemembered) s.sent.emplace(text);
  }
  if (s.sink)
    s.sink(std::string(text));
  else
    std::cerr << "warning: " << text << '\n';
}

WarningSink set_warning_sink(WarningSink sink) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  s.sent.clear();
  return std::exchange(s.sink, std::move(sink));
}

bool warn_always(bool on) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  return std::exchange(s.always, on);
}

CatchWarnings::CatchWarnings() {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  outer_ = std::exchange(s.catching, this);
}

CatchWarnings::~CatchWarnings() {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  s.catching = outer_;
}

std::vector<std::string> CatchWarnings::texts() const {
  const std::lock_guard lock(state().mutex);
  return texts_;
}

}  // namespace coppice
