// docs/ops.md is the table of operations, printed.
#include <doctest/doctest.h>

#include <sstream>

#include "coppice/engine/ops/op_table.h"
#include "support/stored.h"

namespace {

using namespace coppice;

std::string code(std::string_view text) { return text.empty() ? "" : cat("`", text, "`"); }

/// "a|b" as "`a`, `b`".
std::string spellings(std::string_view text) {
  std::string list;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('|'), text.size());
    list += cat(list.empty() ? "" : ", ", code(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return list;
}

struct FallbackText {
  std::string operator()(Required) const { return ""; }
  std::string operator()(Absent) const { return " = none"; }
  std::string operator()(bool b) const { return b ? " = true" : " = false"; }
  std::string operator()(std::int64_t i) const { return cat(" = ", i); }
  std::string operator()(double d) const { return cat(" = ", d); }
  std::string operator()(std::string_view t) const { return cat(" = '", t, "'"); }
};

std::string attributes_of(const OpRow& row) {
  std::string list;
  for (const AttributeRow& a : row.attributes)
    list += cat(list.empty() ? "" : ", ",
                code(cat(a.name, ": ", to_string(a.kind), std::visit(FallbackText{}, a.fallback))));
  return list;
}

std::string inputs_of(const OpRow& row) {
  return cat(code(row.inputs), row.is(OpFlags::takes_number) ? " (the last may be a number)" : "");
}

std::string page() {
  std::ostringstream out;
  out << "# Operations\n\n"
         "Every operation of `coppice/engine/ops/` on tensors, as the table `coppice/engine/ops/op_table.h` holds it: "
         "what\n"
         "`call_op()` may name, with attributes under PyTorch's names and the value of those left out (`= none`: may "
         "be "
         "left\nout). Inputs in brackets may be left out. *grad*: it has gradients (`norm`: of the orders 1, 2 and "
         "'fro'). "
         "*0 → 0*: zeros\ngive zeros. `embedding` and `embedding_bag` take the weight first, PyTorch's functions the "
         "index; `split` has two\nattributes where PyTorch has `split_size_or_sections`. Printed from the table by "
         "`tests/engine/ops/op_list_test.cpp`;\n`./coppice test --rewrite` prints it anew.\n\n"
         "| name | PyTorch | ONNX | inputs | attributes | grad | 0 → 0 |\n|---|---|---|---|---|---|---|\n";
  for (const OpRow* row : op_table()) {
    if (row->python.starts_with("program.")) continue;  // registered by another test
    out << "| " << code(row->name) << " | " << spellings(row->python) << " | " << spellings(row->onnx) << " | "
        << inputs_of(*row) << " | " << attributes_of(*row) << " | " << (row->is(OpFlags::differentiable) ? "yes" : "")
        << " | " << (row->is(OpFlags::zero_to_zero) ? "yes" : "") << " |\n";
  }
  return out.str();
}

TEST_SUITE("docs") {
  TEST_CASE("docs/ops.md lists the operations as the table holds them") {
    // ./coppice test --rewrite prints it anew.
    CHECK(testing::is_stored("docs/ops.md", page()));
  }
}

}  // namespace
