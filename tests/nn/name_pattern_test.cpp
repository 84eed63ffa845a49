#include "coppice/nn/name_pattern.h"

#include <doctest/doctest.h>

#include <string>

using coppice::nn::matches, coppice::nn::names_tensor;

TEST_SUITE("nn/name_pattern") {
  TEST_CASE("a pattern is the whole text, * any part of it, ? one character") {
    CHECK(matches("0.weight", "0.weight"));
    CHECK_FALSE(matches("0.weight", "0.weights"));
    CHECK_FALSE(matches("weight", "0.weight"));
    CHECK(matches("*.weight", "a.b.weight"));
    CHECK(matches("*weight*", "weight"));
    CHECK(matches("?.bias", "3.bias"));
    CHECK_FALSE(matches("?.bias", "12.bias"));
    CHECK(matches("a*b*c", "a-b-b-c"));
    CHECK_FALSE(matches("a*b*c", "a-b-b-d"));
    CHECK(matches("", ""));
    CHECK(matches("*", ""));
    CHECK_FALSE(matches("", "a"));
    CHECK(matches("*", "*"));
  }

  TEST_CASE("many stars cost no more than text times pattern") {
    std::string pattern;
    for (int i = 0; i < 50; ++i) pattern += "*a";
    CHECK_FALSE(matches(pattern, std::string(20000, 'a') + 'b'));
  }

  TEST_CASE("a tensor is named by its own name or by the public one") {
    CHECK(names_tensor("0.weight", "0.weight"));
    CHECK(names_tensor("0.weight", "0.weight_orig"));
    CHECK(names_tensor("0.weight_orig", "0.weight_orig"));
    CHECK(names_tensor("0.weight", "0.parametrizations.weight.original"));
    CHECK(names_tensor("0.weight", "0.parametrizations.weight.original1"));
    CHECK_FALSE(names_tensor("0.weight", "0.parametrizations.weight.original0"));
    CHECK_FALSE(names_tensor("0.weight", "10.weight_orig"));
  }
}
