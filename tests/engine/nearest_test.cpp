#include "coppice/engine/nearest.h"

#include <doctest/doctest.h>

#include <array>
#include <string>

using namespace coppice;

TEST_SUITE("engine/nearest") {
  TEST_CASE("letters are inserted, dropped, replaced, or swapped with their neighbour") {
    CHECK(edit_distance("bias", "bias", 5) == 0);
    CHECK(edit_distance("bia", "bias", 5) == 1);
    CHECK(edit_distance("bbias", "bias", 5) == 1);
    CHECK(edit_distance("bies", "bias", 5) == 1);
    CHECK(edit_distance("bais", "bias", 5) == 1);
    CHECK(edit_distance("kitten", "sitting", 5) == 3);
    CHECK(edit_distance("", "abc", 5) == 3);
    CHECK(edit_distance("", "", 5) == 0);
  }

  TEST_CASE("what is more than asked for counts as one more") {
    CHECK(edit_distance("kitten", "sitting", 2) == 3);
    CHECK(edit_distance("abcdef", "uvwxyz", 2) == 3);
    CHECK(edit_distance("a", "abcdefgh", 2) == 3);
  }

  TEST_CASE("the nearest name is one that is like the other") {
    constexpr std::array<std::string_view, 3> kNames{"in_features", "out_features", "bias"};
    CHECK(nearest_name("in_feature", kNames) == "in_features");
    CHECK(nearest_name("outfeatures", kNames) == "out_features");
    CHECK(nearest_name("bais", kNames) == "bias");
    CHECK(nearest_name("groups", kNames).empty());
    CHECK(nearest_name("", kNames).empty());
    CHECK(nearest_name("x", std::array<std::string_view, 1>{"y"}).empty());
  }

  TEST_CASE("how much may be wrong is the caller's choice") {
    constexpr std::array<std::string_view, 1> kNames{"in_channels"};
    CHECK(nearest_name("out_channels", kNames) == "in_channels");
    CHECK(nearest_name("out_channels", kNames, 5).empty());
    CHECK(nearest_name("in_channel", kNames, 5) == "in_channels");
  }

  TEST_CASE("a part of a name stands for it where none is more like it") {
    constexpr std::array<std::string_view, 3> kNames{"kernel_size", "num_layers_of_it", "p"};
    CHECK(nearest_name("kern", kNames) == "kernel_size");
    CHECK(nearest_name("layers", kNames) == "num_layers_of_it");
    CHECK(nearest_name("kernel_size_of_all_convolutions", kNames) == "kernel_size");
    CHECK(nearest_name("of", kNames).empty());
    CHECK(nearest_name("", kNames).empty());
  }

  TEST_CASE("long names are like no other") {
    const std::string name(64, 'a'), longer(65, 'a');
    CHECK(nearest_name(name, std::array<std::string_view, 1>{name}) == name);
    CHECK(nearest_name(name, std::array<std::string_view, 1>{longer}).empty());
    CHECK(nearest_name(longer, std::array<std::string_view, 1>{name}).empty());
  }
}
