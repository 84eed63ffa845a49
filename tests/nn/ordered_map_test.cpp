// nn's word for the engine's map: one type, whichever name a program uses. Its behaviour: engine/ordered_map_test.
#include "coppice/nn/ordered_map.h"

#include <doctest/doctest.h>

#include <type_traits>

TEST_SUITE("nn/ordered_map") {
  TEST_CASE("nn::OrderedMap is coppice::OrderedMap") {
    CHECK(std::is_same_v<coppice::nn::OrderedMap<int>, coppice::OrderedMap<int>>);
    coppice::nn::OrderedMap<int> map;
    map.set("b", 1);
    map.set("a", 2);
    CHECK(map.begin()->first == "b");
  }
}
