#pragma once
/// Refusals by their category.

#include <doctest/doctest.h>

#include <string>

#include "coppice/engine/error.h"

namespace coppice::testing {

/// Whether `call` throws an E that opens with its operation, or with a place. Another exception is shown.
template <class E, class F>
bool refused(const F& call) {
  try {
    call();
  } catch (const E& e) {
    const std::string said = e.what();
    INFO(said);
    CHECK((said.starts_with('[') || said.starts_with("at '") || said.starts_with("in '")));
    return true;
  } catch (const std::exception& e) {
    const std::string another = e.what();
    MESSAGE(another);
  }
  return false;
}

/// Checks that `call` is refused with an E, and that seen() of `watched` is the same before and after.
template <class E, class Watched, class F>
void check_refused_whole(const char* what, const Watched& watched, const F& call) {
  const std::string case_name = what;
  CAPTURE(case_name);
  const auto before = watched.seen();
  CHECK(refused<E>(call));
  CHECK(watched.seen() == before);
}

}  // namespace coppice::testing
