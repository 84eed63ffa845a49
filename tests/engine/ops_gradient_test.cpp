// Every differentiable operation of the table: its full Jacobian by differences in double, and what becomes of its
// gradient when a tensor is overwritten between forward and backward pass.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>

#include "coppice/engine.h"
#include "engine/differentiable_ops.h"
#include "support/gradcheck.h"

namespace {

using namespace coppice;
using coppice::testing::differentiable_ops;
using coppice::testing::gradcheck;
using coppice::testing::overwrite_check;

/// Names of the functions in `header` that return tensors and match `declaration`, whose last group is the name.
std::set<std::string> declared(const std::filesystem::path& header, const std::string& declaration) {
  std::ifstream in(header);
  REQUIRE(in);
  const std::regex pattern(declaration);
  std::set<std::string> names;
  for (std::string line; std::getline(in, line);)
    if (std::smatch found; std::regex_search(line, found, pattern)) names.insert(found[found.size() - 1]);
  return names;
}

TEST_SUITE("engine/gradients") {
  TEST_CASE("the Jacobian of every differentiable operation is that of its values") {
    for (const auto& op : differentiable_ops()) {
      CAPTURE(op.name);
      const std::size_t outputs = op.call(op.inputs).size();
      for (std::size_t j = 0; j < outputs; ++j)
        CHECK(gradcheck([&](const TensorList& in) { return op.call(in)[j]; }, op.inputs) == "");
    }
  }

  TEST_CASE("a tensor overwritten before backward leaves the right gradient, or is a StateError") {
    for (const auto& op : differentiable_ops()) {
      CAPTURE(op.name);
      CHECK(overwrite_check(op.call, op.inputs) == "");
    }
  }

  TEST_CASE("every operation that a header declares is in the table, or known to have no gradient") {
    std::set<std::string> known(testing::other_ops().begin(), testing::other_ops().end());
    for (const auto& op : differentiable_ops()) known.insert(op.name);
    const auto engine = std::filesystem::path(COPPICE_TESTS_DIR).parent_path() / "engine/include/coppice/engine";
    const auto check = [&](const std::set<std::string>& names) {
      for (const std::string& name : names) {
        CAPTURE(name);
        CHECK(known.contains(name));
      }
      return names.size();
    };
    std::size_t found = 0;
    for (const auto& entry : std::filesystem::directory_iterator(engine / "ops"))
      found += check(declared(entry.path(), R"(^\[\[nodiscard\]\] (Tensor|TensorList|LstmResult|Selected) (\w+)\()"));
    CHECK(found >= 65);  // the pattern still finds them
    CHECK(check(declared(engine / "tensor.h", R"(^  \[\[nodiscard\]\] Tensor (\w+)\(.*\) const;)")) == 5);
  }

  TEST_CASE("dropout sends gradients through what it keeps") {
    Tensor x = Tensor::from(std::vector<double>(16, 1.5), {4, 4}).requires_grad_();
    Generator generator(1);
    const Tensor y = dropout(x, 0.5, &generator);
    sum(y).backward();
    for (std::int64_t i = 0; i < 4; ++i)
      for (std::int64_t j = 0; j < 4; ++j) CHECK(x.grad().at({i, j}) == (y.at({i, j}) == 0 ? 0 : 2));
  }
}

}  // namespace
