#include "coppice/engine/tie_rule.h"

#include <doctest/doctest.h>

#include <stdexcept>
#include <thread>

#include "coppice/engine/create.h"
#include "coppice/engine/ops/select.h"

using namespace coppice;

namespace {
/// Which of eight equal scores a selection of three takes.
std::vector<std::int64_t> taken() { return topk(ones({8}), 3, 0, false).indices.to_vector<std::int64_t>(); }
const std::vector<std::int64_t> kLowest{0, 1, 2};
}  // namespace

TEST_SUITE("engine/tie_rule") {
  TEST_CASE("a scope sets the rule of the calls that are given none, and gives it back, also after an exception") {
    CHECK(default_tie_rule() == TieRule::lowest_index);
    CHECK(taken() == kLowest);
    {
      const TieRuleScope outer(TieRule::pytorch);
      CHECK(default_tie_rule() == TieRule::pytorch);
      CHECK(taken() != kLowest);
      CHECK(select_masks({ones({2, 4})}, {.count = 3})[0] == Tensor::of({{1, 1, 1, 1}, {0, 0, 0, 1}}));
      CHECK(topk(ones({8}), 3, 0, false, TieRule::lowest_index).indices.to_vector<std::int64_t>() == kLowest);
      {
        const TieRuleScope inner(TieRule::lowest_index);
        CHECK(taken() == kLowest);
      }
      CHECK(taken() != kLowest);
    }
    CHECK(taken() == kLowest);
    try {
      const TieRuleScope scope(TieRule::pytorch);
      throw std::runtime_error("");
    } catch (const std::runtime_error&) {
    }
    CHECK(default_tie_rule() == TieRule::lowest_index);
  }

  TEST_CASE("a scope is of its thread; the rule of the process is of all threads that have no scope") {
    const auto elsewhere = [] {
      TieRule seen{};
      std::thread([&] { seen = default_tie_rule(); }).join();
      return seen;
    };
    {
      const TieRuleScope scope(TieRule::pytorch);
      CHECK(elsewhere() == TieRule::lowest_index);
    }
    set_default_tie_rule(TieRule::pytorch);
    CHECK(default_tie_rule() == TieRule::pytorch);
    CHECK(elsewhere() == TieRule::pytorch);
    CHECK(taken() != kLowest);
    {
      const TieRuleScope scope(TieRule::lowest_index);
      CHECK(taken() == kLowest);
      CHECK(elsewhere() == TieRule::pytorch);
    }
    set_default_tie_rule(TieRule::lowest_index);
    CHECK(taken() == kLowest);
  }
}
