#include "report_tensors.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "coppice/nn/state_dict.h"

namespace coppice::sparsity {
namespace {

constexpr std::int64_t kColumns = 7;  // of "report"

/// Rows of [epoch, train loss, sparsity, correct, count, loss, best], as float64 so that nothing is rounded.
Tensor table(const std::vector<EpochReport>& rows) {
  std::vector<double> values;
  for (const EpochReport& r : rows)
    for (const double v :
         {static_cast<double>(r.epoch), r.train_loss, r.sparsity, static_cast<double>(r.validation.correct),
          static_cast<double>(r.validation.count), r.validation.loss, r.best ? 1.0 : 0.0})
      values.push_back(v);
  return Tensor::from(values, {static_cast<std::int64_t>(rows.size()), kColumns});
}

std::vector<EpochReport> rows_from(const Tensor& t) {
  std::vector<EpochReport> rows;
  for (std::int64_t i = 0; i < t.size(0); ++i) {
    const double correct = t.at({i, 3}), count = t.at({i, 4});
    if (t.at({i, 0}) != static_cast<double>(i + 1) || !(correct >= 0 && correct <= count && count < 1e15))
      throw ValueError(cat("row ", i, " of the report is no epoch"));
    EpochReport r;
    r.epoch = static_cast<std::int64_t>(t.at({i, 0}));
    r.train_loss = t.at({i, 1});
    r.sparsity = t.at({i, 2});
    r.validation = {static_cast<std::int64_t>(correct), static_cast<std::int64_t>(count), t.at({i, 5})};
    r.best = t.at({i, 6}) != 0;
    rows.push_back(r);
  }
  return rows;
}

/// The tensors of the best epoch, which fit the model: found now, not when the run is over.
NamedTensors best_of(const NamedTensors& all, const nn::Module& model, const Source& source) {
  NamedTensors best = all.below("best.");
  const NamedTensors own = nn::all_tensors(model);
  for (const auto& [name, tensor] : own)
    if (const Tensor* t = best.find(name); t == nullptr || t->shape() != tensor.shape() || t->dtype() != tensor.dtype())
      source.reject("the best epoch has no ", quote(name), " of ", tensor.dtype(), " and shape ", tensor.shape());
  if (best.size() != own.size())
    source.reject("the best epoch holds ", best.size(), " tensors, the model ", own.size());
  return best;
}

}  // namespace

Checkpoint::Part part_of(std::shared_ptr<BestEpoch> best, std::int64_t steps, std::int64_t epochs,
                         const std::filesystem::path& path) {
  const auto save = [best](NamedTensors& all) {
    if (best->best()) all.add_all("best.", *best->best());
    all.add("report", table(best->rows()));
  };
  const auto load = [=, source = Source{"finetune", path.string()}](const NamedTensors& all, const TrainContext& at,
                                                                    const Limits&) {
    const Tensor& t = all.at("report");
    if (t.dtype() != Dtype::f64 || t.dim() != 2 || t.size(1) != kColumns || t.size(0) < 1 || t.size(0) > epochs)
      source.reject("the report of ", t.dtype(), " and shape ", t.shape(), " does not fit ", epochs, " epochs of ",
                    kColumns, " float64");
    std::vector<EpochReport> rows = rows_from(t);
    if (at.step != steps * t.size(0))
      throw ValueError(cat("step ", at.step, " after ", t.size(0), " epochs of ", steps, " steps"));
    const bool has_best = std::ranges::any_of(rows, &EpochReport::best);
    best->resume(std::move(rows), has_best ? std::optional(best_of(all, *at.model, source)) : std::nullopt);
  };
  const auto keep = [best] {
    return [best, rows = best->rows(), tensors = best->best()] { best->resume(rows, tensors); };
  };
  return {save, load, keep};
}

}  // namespace coppice::sparsity
