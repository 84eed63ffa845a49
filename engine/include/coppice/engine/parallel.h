#pragma once
/// Parallel loops whose results do not depend on the number of threads.

#include "coppice/engine/cxx20.h"

#include <cstdint>
#include <memory>
#include <type_traits>

namespace coppice {

/// Half-open range of a loop given to one task.
struct Rows {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  [[nodiscard]] std::int64_t size() const { return end - begin; }
};

/// Non-owning reference to a callable, valid for the duration of the call it is passed to.
template <class Signature>
class FunctionRef;
template <class R, class... Args>
class FunctionRef<R(Args...)> {
 public:
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, FunctionRef>)
      FunctionRef(F&& f)  // NOLINT: implicit, so that a lambda can be passed as it is
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(f)))),
        call_([](void* object, Args... args) -> R {
          return (*static_cast<std::remove_reference_t<F>*>(object))(static_cast<Args>(args)...);
        }) {}
  R operator()(Args... args) const { return call_(object_, static_cast<Args>(args)...); }

 private:
  void* object_;
  R (*call_)(void*, Args...);
};

/// Calls `body` for every range [i * grain, min((i + 1) * grain, n)), in any order and possibly at the same time.
///
/// @param n      length of the loop, at least 0
/// @param grain  length of a range, at least 1; choose it so that a range costs 20 µs or more
/// The split depends on `n` and `grain` alone: a body with one writer per element gives equal results for any
/// number of threads. One range, or one thread: runs on the caller. Subnormal numbers are treated on every thread as
/// the caller treats them at the call (FlushSubnormals).
/// Throws what a body threw (one of them when several do); ranges not yet started may then be skipped.
void parallel_for(std::int64_t n, std::int64_t grain, FunctionRef<void(Rows)> body);

/// Threads that parallel_for may use, at least 1. Starts as COPPICE_NUM_THREADS, else the processors of this process.
/// Where the system refuses to start that many, it becomes what there is with the first loop that asks for them.
[[nodiscard]] int num_threads();
/// @throws ValueError  if `count` is below 1
void set_num_threads(int count);

}  // namespace coppice
