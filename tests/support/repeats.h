#pragma once
/// How often a random test is repeated.

#include <cstdlib>

namespace coppice::test {

/// `usual`, or `many` in the long run: ./coppice test --long sets COPPICE_TEST_LONG.
inline int repeats(int usual, int many) { return std::getenv("COPPICE_TEST_LONG") != nullptr ? many : usual; }

}  // namespace coppice::test
