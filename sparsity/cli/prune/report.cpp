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

Json document(const std::string& output, const Json& head, const std::vector<PrunedRow>& rows, const PrunedRow& total,
              const std::vector<Left>& left) {
  Json out{{"output", output.empty() ? Json() : Json(output)}};
  out.update(head);
  out["tensors"] = Json::array();
  for (const PrunedRow& r : rows)
    out["tensors"].push_back({{"name", r.name}, {"zeros", r.zeros}, {"elements", r.elements}, {"pruned", r.pruned}});
  out["left"] = Json::array();
  for (const Left& l : left) out["left"].push_back({{"name", l.name}, {"why", l.why}});
  out["zeros"] = total.zeros;
  out["elements"] = total.elements;
  out["sparsity"] = share_of(total.zeros, total.elements);
  return out;
}

}  // namespace

std::vector<PrunedRow> pruned_rows(const std::vector<sparsity::Prunable>& targets) {
  std::vector<PrunedRow> rows;
  for (const sparsity::Prunable& t : targets) {
    const Tensor value = t.value();
    rows.push_back({t.name, value.shape(), value.numel() - count_nonzero(value), value.numel(),
                    value.numel() - count_nonzero(t.module->tensor(nn::mask_of(t.slot)))});
  }
  return rows;
}

void report_pruned(const App& app, const std::string& output, const Json& head, const std::vector<PrunedRow>& rows,
                   const std::vector<Left>& left) {
  PrunedRow total{"total", {}, 0, 0, 0};
  for (const PrunedRow& r : rows) total.zeros += r.zeros, total.elements += r.elements;
  if (app.json) return print("coppice.prune/1", document(output, head, rows, total, left));
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
    print("dry run: nothing was written");
  else
    print(cat(output, ": ", grouped(static_cast<std::int64_t>(file_size(output))), " bytes"));
}

}  // namespace coppice::cli
