#include "coppice/engine/version.h"

#include <doctest/doctest.h>

#include <string>

TEST_SUITE("engine/version") {
  TEST_CASE("the version's text and its numbers agree") {
    const std::string text = std::to_string(COPPICE_VERSION_MAJOR) + "." + std::to_string(COPPICE_VERSION_MINOR) + "." +
                             std::to_string(COPPICE_VERSION_PATCH);
    CHECK(text == coppice::kVersion);
  }
}
