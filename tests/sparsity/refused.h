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

}  // namespace coppice::testing
