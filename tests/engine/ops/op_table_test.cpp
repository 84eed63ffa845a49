// The table of operations: complete, true in what its rows say, strict with what it is given.
#include "coppice/engine/ops/op_table.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>

#include "coppice/engine.h"
#include "support/op_cases.h"

namespace {

using namespace coppice;
using coppice::testing::op_cases;

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

/// A zero tensor of the same shape and type, but for indices.
Tensor zeroed(const Tensor& t) { return is_floating(t.dtype()) || t.dtype() == Dtype::boolean ? zeros_like(t) : t; }

/// Whether a case calls `row` with `n` inputs.
bool has_case(const OpRow* row, std::size_t n) {
  return std::ranges::any_of(op_cases(), [&](const auto& c) { return &c.row() == row && c.inputs.size() == n; });
}

bool is_zero(const Tensor& t) { return !any(t).item<bool>(); }

TEST_SUITE("engine/op_table") {
  TEST_CASE("every operation that a header declares has a row") {
    // Not operations on a network's values: masks are chosen by pruning; detach() is the same value; grad() is state.
    const std::set<std::string> others{"select_masks", "detach", "grad"};
    const auto engine = std::filesystem::path(COPPICE_TESTS_DIR).parent_path() / "engine/include/coppice/engine";
    const auto check = [&](const std::set<std::string>& names) {
      for (const std::string& name : names) {
        CAPTURE(name);
        CHECK((others.contains(name) || find_op(name == "cat_tensors" ? "cat" : name) != nullptr));
      }
      return names.size();
    };
    std::size_t found = 0;
    for (const auto& entry : std::filesystem::directory_iterator(engine / "ops"))
      if (!entry.path().stem().string().starts_with("op"))  // op.h and op_table.h are about operations, and hold none
        found += check(declared(entry.path(), R"(^\[\[nodiscard\]\] (Tensor|TensorList|LstmResult|Selected) (\w+)\()"));
    CHECK(found >= 65);  // the pattern still finds them
    CHECK(check(declared(engine / "tensor.h", R"(^  \[\[nodiscard\]\] Tensor (\w+)\(.*\) const;)")) == 5);
  }

  TEST_CASE("rows are whole: names differ, each has a function, a case and attributes of their kind") {
    std::set<std::string_view> names, with_case;
    for (const auto& c : op_cases()) with_case.insert(c.row().name);
    for (const OpRow* row : op_table()) {
      if (row->python.starts_with("program.")) continue;  // registered by another test
      CAPTURE(std::string(row->name));
      CHECK(names.insert(row->name).second);
      CHECK(find_op(row->name) == row);
      CHECK(static_cast<bool>(row->call));
      CHECK(row->least_inputs >= 1);
      CHECK(row->most_inputs >= row->least_inputs);
      CHECK_FALSE(row->python.empty());
      CHECK(with_case.contains(row->name));
      std::set<std::string_view> attributes;
      for (const AttributeRow& a : row->attributes) CHECK(attributes.insert(a.name).second);
      if (row->is(OpFlags::takes_number)) {  // both ways have a case, which the other tests run
        CHECK(has_case(row, 1));
        CHECK(has_case(row, 2));
      }
      const auto words = std::ranges::count(row->inputs, ' ') + 1, optional = std::ranges::count(row->inputs, '[');
      CHECK(row->least_inputs == words - optional);
      CHECK(row->most_inputs == (row->inputs.ends_with("...") ? kAnyNumber : words));
    }
    CHECK(names.size() >= 60);
    CHECK(find_op("conv") == nullptr);
  }

  TEST_CASE("flags are true") {
    for (const auto& c : op_cases()) {
      CAPTURE(c.op);
      const OpRow& row = c.row();
      TensorList inputs = c.inputs;
      for (Tensor& t : inputs)
        if (is_floating(t.dtype())) t = t.clone().requires_grad_();
      const TensorList ys = run(c, inputs);
      for (const Tensor& y : ys) CHECK(y.requires_grad() == row.is(OpFlags::differentiable));
      if (row.is(OpFlags::shares_storage)) CHECK(ys[0].shares_storage(inputs[0]));
      if (row.is(OpFlags::elementwise)) {
        Tensor all = zeros(inputs[0].shape());
        for (const Tensor& t : inputs) all = all + zeros(t.shape());
        CHECK(ys[0].shape() == all.shape());
      }
      if (row.is(OpFlags::zero_to_zero) && !(row.is(OpFlags::takes_number) && inputs.size() == 1)) {
        TensorList nothing;
        for (const Tensor& t : c.inputs) nothing.push_back(zeroed(t));
        for (const Tensor& y : run(c, nothing)) CHECK(is_zero(y));
      }
      if (row.is(OpFlags::random)) {
        const Tensor again = call_op(row, c.inputs, c.attributes)[0];  // goes on in the stream
        CHECK(run(c, c.inputs)[0] == ys[0].detach());
        CHECK((again == ys[0].detach()) == (c.attributes.number("p", 0.5) == 0 || c.attributes.number("p", 0.5) == 1));
      } else {
        CHECK(call_op(row, c.inputs, c.attributes)[0] == ys[0].detach());
      }
    }
  }

  TEST_CASE("attributes that are left out get the row's value") {
    const Tensor x = Tensor::of({{1, 2}, {3, 4}});
    CHECK(call_op(*find_op("softmax"), {x})[0] == softmax(x, -1));
    CHECK(call_op(*find_op("clamp"), {x}, {{"max", std::int64_t{2}}})[0] == Tensor::of({{1, 2}, {2, 2}}));
    CHECK(call_op(*find_op("sum"), {x}, {{"dim", Argument()}})[0] == sum(x));  // null: as if left out
    CHECK(call_op(*find_op("sum"), {x}, {{"dim", std::int64_t{0}}})[0] == sum(x, {0}));
    CHECK(filled_in(*find_op("dropout"), {}) == Arguments{{"p", 0.5}});
  }

  TEST_CASE("what does not fit a row is refused by name") {
    const Tensor x = Tensor::of({{1, 2}, {3, 4}});
    const auto call = [&](const char* op, const TensorList& in, const Arguments& a = {}) {
      (void)call_op(*find_op(op), in, a);
    };
    CHECK_THROWS_WITH_AS(call("softmax", {x}, {{"axis", std::int64_t{1}}}),
                         "[softmax] has no attribute 'axis'; it has: dim", KeyError);
    CHECK_THROWS_WITH_AS(call("relu", {x}, {{"dim", std::int64_t{1}}}), "[relu] has no attribute 'dim'; it has: none",
                         KeyError);
    CHECK_THROWS_WITH_AS(call("softmax", {x}, {{"dim", 1.0}}),
                         "[softmax] the attribute 'dim' must be of the kind integer", TypeError);
    CHECK_THROWS_WITH_AS(call("permute", {x}), "[permute] the attribute 'dims' is missing", KeyError);
    CHECK_THROWS_WITH_AS(call("relu", {}), "[relu] takes 1 inputs; got 0", ValueError);
    CHECK_THROWS_WITH_AS(call("linear", {x, x, x, x}), "[linear] takes 2 to 3 inputs; got 4", ValueError);
    CHECK_THROWS_WITH_AS(call("cat", {}), "[cat] takes 1 or more inputs; got 0", ValueError);
    CHECK_THROWS_WITH_AS(call("cat", {x, Tensor()}), "[cat] input 1 is undefined", StateError);
    CHECK_THROWS_WITH_AS(call("linear", {x, Tensor()}), "[linear] input 1 is undefined", StateError);
    CHECK_THROWS_WITH_AS(call("add", {x}), "[add] needs a second input or the attribute 'other', and not both",
                         ValueError);
    CHECK_THROWS_AS(call("add", {x, x}, {{"other", 1.0}}), ValueError);
    CHECK_THROWS_AS(call("gelu", {x}, {{"approximate", std::string("erf")}}), ValueError);
    CHECK_THROWS_WITH_AS(call("mse_loss", {x, x}, {{"reduction", std::string("max")}}),
                         "[mse_loss] reduction must be one of 'none', 'mean', 'sum'; got 'max'", ValueError);
    CHECK_THROWS_WITH_AS(call("argmax", {x}), "[argmax] the attribute 'dim' is missing", KeyError);
    CHECK_THROWS_AS(call("to", {x}, {{"dtype", std::string("float31")}}), ValueError);
    CHECK_THROWS_AS(call("split", {x}), ValueError);
    CHECK_THROWS_AS(call("topk", {x}, {{"k", std::int64_t{1}}, {"ties", std::string("first")}}), ValueError);
    CHECK_THROWS_AS(call("max_pool2d", {x}, {{"kernel_size", std::vector<std::int64_t>{1, 1, 1}}}), ValueError);
    CHECK_THROWS_AS(call("embedding_bag", {x, x, x}, {{"mode", std::string("median")}}), ValueError);
  }

  TEST_CASE("a program adds its own operation") {
    static const OpRow row{.name = "twice",
                           .python = "program.twice",
                           .flags = OpFlags::differentiable,
                           .call = [](const TensorList& in, const Arguments&) { return TensorList{in[0] * 2.0}; }};
    const std::size_t before = op_table().size();
    const OpRow& kept = register_op(row);
    CHECK(find_op("twice") == &kept);
    CHECK(op_table().size() == before + 1);
    CHECK(op_table().back() == &kept);
    CHECK(call_op(kept, {Tensor::of({1, 2})})[0] == Tensor::of({2, 4}));
    CHECK_THROWS_WITH_AS(register_op(row), "[register_op] there is an operation 'twice' already", KeyError);
    CHECK_THROWS_AS(register_op(OpRow{.name = "relu", .call = row.call}), KeyError);
    CHECK_THROWS_AS(register_op(OpRow{.name = "few", .least_inputs = 2, .most_inputs = 1, .call = row.call}),
                    ValueError);
    CHECK_THROWS_AS(register_op(OpRow{.name = "number", .flags = OpFlags::takes_number, .call = row.call}), ValueError);
    CHECK_THROWS_AS(register_op(OpRow{.name = "half"}), ValueError);
    CHECK_THROWS_AS(register_op(OpRow{.name = "", .call = row.call}), ValueError);
    CHECK(op_table().size() == before + 1);
  }
}

}  // namespace
