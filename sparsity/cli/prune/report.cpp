#include "prune/report.h"

#include "coppice/engine/ops/reduce.h"
#include "coppice/nn/masks/masked.h"
#include "coppice/nn/masks/names.h"
#include "tensors.h"

namespace coppice::cli {
namespace {

double share_of(std::int64_t zeros, std::int64_t elements) {
  return elements == 0 ? 0 : static_cast<double>(zeros) / static_cast<double>(elements);
}

Json json_of(const std::vector<Left>& left) {
  Json out = Json::array();
  for (const Left& l : left) out.push_back({{"name", l.name}, {"why", l.why}});
  return out;
}

Json document(const std::string& output, const Json& head, const std::vector<PrunedRow>& rows, const PrunedRow& total,
              const std::vector<Left>& left, const std::vector<Left>& not_taken, const MemoryLimit& memory) {
  Json out{{"output", output.empty() ? Json() : Json(output)}};
  out.update(head);
  out["tensors"] = Json::array();
  for (const PrunedRow& r : rows) {
    Json row{{"name", r.name}, {"zeros", r.zeros}, {"elements", r.elements}, {"pruned", r.pruned}};
    if (!r.also.empty()) row["also_named"] = r.also;
    out["tensors"].push_back(std::move(row));
  }
  out["left"] = json_of(left);
  if (output.empty()) out["not_taken"] = json_of(not_taken);
  out["zeros"] = total.zeros;
  out["elements"] = total.elements;
  out["sparsity"] = share_of(total.zeros, total.elements);
  out["memory"] = memory.described();
  return out;
}

}  // namespace

PrunedRow pruned_row(const Choice& choice, const sparsity::Prunable& t) {
  const Tensor value = t.value();
  return {t.name,
          value.shape(),
          value.numel() - count_nonzero(value),
          value.numel(),
          value.numel() - count_nonzero(t.module->tensor(nn::mask_of(t.slot))),
          choice.also_named(t.name)};
}

PrunedRow pruned_row(const Choice& choice, const sparsity::Prunable& t, const sparsity::prune::MaskedCounts& counts) {
  const Tensor value = t.value();
  return {t.name, value.shape(), counts.zeros, value.numel(), counts.pruned, choice.also_named(t.name)};
}

void note_nearly_empty(const App& app, const std::vector<PrunedRow>& rows, const std::string& advice) {
  for (const PrunedRow& r : rows) {
    if (!r.nearly_empty()) continue;
    note(app,
         cat("note: ", printable(r.name),
             r.zeros == r.elements ? " is wholly zero" : cat(" is ", percent(share_of(r.zeros, r.elements)), " zero"),
             advice));
  }
}

void note_tied(const App& app, const std::vector<PrunedRow>& rows) {
  for (const PrunedRow& r : rows)
    for (const std::string& other : r.also)
      note(app, cat("note: ", printable(r.name), " and ", printable(other), " are one tensor, with one mask"));
}

void report_pruned(const App& app, const std::string& output, const Json& head, const std::vector<PrunedRow>& rows,
                   const std::vector<Left>& left, const std::vector<Left>& not_taken, const MemoryLimit& memory) {
  PrunedRow total{"total", {}, 0, 0, 0};
  for (const PrunedRow& r : rows) total.zeros += r.zeros, total.elements += r.elements;
  if (app.json) return print("coppice.prune/1", document(output, head, rows, total, left, not_taken, memory));
  Table table{{"tensor", "shape", "zeros", "of", "share"}, {}};
  const auto add = [&](const PrunedRow& r, const std::string& shape) {
    table.rows.push_back(
        {printable(r.name), shape, grouped(r.zeros), grouped(r.elements), percent(share_of(r.zeros, r.elements))});
  };
  for (const PrunedRow& r : rows) add(r, to_string(r.shape));
  add(total, "");
  print(table.text());
  for (const Left& l : left) print(cat("left as it is: ", printable(l.name), ": ", printable(l.why)));
  if (output.empty())
    for (const Left& l : not_taken) print(cat("not taken: ", printable(l.name), ": ", printable(l.why)));
  if (output.empty())
    print("dry run: nothing was written");
  else
    print(cat(output, ": ", grouped(static_cast<std::int64_t>(file_size(output))), " bytes"));
  if (memory.given()) print(memory.text());
}

}  // namespace coppice::cli
