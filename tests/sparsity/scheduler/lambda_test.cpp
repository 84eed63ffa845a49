#include "coppice/sparsity/scheduler/lambda.h"

#include <doctest/doctest.h>

#include "sparsity/scheduler/halves.h"

using namespace coppice;
using namespace coppice::sparsity;
using namespace coppice::testing;
using Levels = std::vector<double>;

namespace {

double tenfold(std::int64_t epoch) { return 10.0 * static_cast<double>(epoch); }
double faded(std::int64_t epoch) { return 1.0 / static_cast<double>(1 + epoch); }

NamedFunction registered() {
  static const bool once = [] {
    register_function<double(std::int64_t)>("lambda_test.faded", faded);
    register_function<double(double)>("lambda_test.other", [](double x) { return x; });
    return true;
  }();
  (void)once;
  return {"lambda_test.faded"};
}

}  // namespace

TEST_SUITE("sparsity/scheduler/lambda") {
  TEST_CASE("one function for all groups, or one for each; nothing is clamped") {
    TwoGroups a, b;
    LambdaSL same(a.sparsifier, tenfold), each(b.sparsifier, {tenfold, faded}, 1);
    CHECK(a.levels() == Levels{0, 0});
    CHECK(b.levels() == Levels{0.8 * 20, 0.4 * (1.0 / 3)});  // epoch 2
    a.sparsifier.step();
    same.step();
    CHECK(a.levels() == Levels{8, 4});
    a.sparsifier.step();  // 8 counts as 1
    CHECK(count_nonzero(a.sparsifier.groups()[0].mask()) == 0);
  }

  TEST_CASE("functions that are missing, too many or none") {
    TwoGroups f;
    CHECK_THROWS_AS(LambdaSL(f.sparsifier, std::vector<LevelFunction>{tenfold}), ValueError);
    CHECK_THROWS_AS(LambdaSL(f.sparsifier, {tenfold, tenfold, tenfold}), ValueError);
    CHECK_THROWS_AS((void)LevelFunction(LevelFunction::Function()), ValueError);
    CHECK_THROWS_AS((void)LevelFunction(NamedFunction{"lambda_test.nowhere"}), KeyError);
    (void)registered();
    CHECK_THROWS_AS((void)LevelFunction(NamedFunction{"lambda_test.other"}), TypeError);
    CHECK(f.levels() == Levels{0.8, 0.4});
  }

  TEST_CASE("registered functions are saved by name and come back; others stay those of the loader") {
    TwoGroups a, b;
    const LambdaSL from(a.sparsifier, {registered(), LevelFunction(tenfold)});
    const Arguments saved = from.state_dict();
    CHECK(saved.map("sl_lambdas").function_name("0") == "lambda_test.faded");
    CHECK_FALSE(saved.map("sl_lambdas").has("1"));

    LambdaSL to(b.sparsifier, {tenfold, faded});
    to.load_state_dict(saved);
    b.sparsifier.step();
    to.step();
    CHECK(b.levels() == Levels{0.4, 0.2});  // faded by the name, and its own
    CHECK(to.state_dict().map("sl_lambdas").function_name("0") == "lambda_test.faded");
  }

  TEST_CASE("states with unknown functions, or of another number, are refused with nothing changed") {
    TwoGroups f;
    LambdaSL s(f.sparsifier, {registered(), registered()});
    const Arguments good = s.state_dict();
    const auto with = [&](Arguments functions) {
      Arguments out = good.clone();
      out.set("sl_lambdas", std::move(functions));
      return out;
    };
    CHECK_THROWS_AS(s.load_state_dict(with({})), ValueError);
    CHECK_THROWS_AS(s.load_state_dict(with({{"0", NamedFunction{"lambda_test.nowhere"}}, {"1", Argument()}})),
                    KeyError);
    CHECK_THROWS_AS(s.load_state_dict(with({{"0", NamedFunction{"lambda_test.other"}}, {"1", Argument()}})), TypeError);
    CHECK_THROWS_AS(s.load_state_dict(with({{"0", 0.5}, {"1", Argument()}})), TypeError);
    CHECK(s.state_dict() == good);
  }
}
