#include "coppice/sparsity/training/dataset.h"

#include <algorithm>
#include <cmath>

#include "coppice/engine/autograd.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/engine/ops/shape_ops.h"
#include "coppice/engine/ops/softmax.h"

namespace coppice::sparsity {

Dataset Dataset::subset(const std::vector<std::int64_t>& rows) const {
  const Tensor index = Tensor::from(rows, Shape{static_cast<std::int64_t>(rows.size())});
  return {index_select(x, 0, index), index_select(y, 0, index)};
}

Dataset make_dataset(const Tensor& x, const Tensor& y) {
  if (x.dim() < 1 || y.dim() != 1 || x.size(0) != y.size(0))
    throw ShapeError(cat("[dataset] needs x: [n, ...] and y: [n]; got ", x.shape(), " and ", y.shape()));
  if (!is_floating(x.dtype())) throw DtypeError(cat("[dataset] x must be floating; got ", x.dtype()));
  if (is_floating(y.dtype()) || y.dtype() == Dtype::boolean)
    throw DtypeError(cat("[dataset] y must hold integer classes; got ", y.dtype()));
  return {x.dtype() == Dtype::f64 ? x.to(Dtype::f32) : x, y.to(Dtype::i64)};
}

void check_classes(const Tensor& y, std::int64_t classes) {
  if (is_floating(y.dtype())) return;  // whoever takes the loss says that these are no classes
  const Tensor wide = y.to(Dtype::i64);
  const auto wanted = wide.data<std::int64_t>();
  for (std::size_t i = 0; i < wanted.size(); ++i)
    if (wanted[i] < 0 || wanted[i] >= classes)
      throw IndexError(cat("[dataset] class ", wanted[i], " of sample ", i, " is outside 0..", classes - 1));
}

std::optional<std::int64_t> first_nan(const Tensor& x) {
  if (!is_floating(x.dtype())) return std::nullopt;
  return dispatch(x.dtype(), [&]<class T>() -> std::optional<std::int64_t> {
    const auto values = x.data<T>();
    const auto found = std::ranges::find_if(values, [](T v) { return std::isnan(convert<double>(v)); });
    if (found == values.end()) return std::nullopt;
    return (found - values.begin()) / (x.numel() / x.size(0));
  });
}

std::int64_t count_correct(const Tensor& logits, const Tensor& y) {
  if (logits.dim() != 2 || y.dim() != 1 || logits.size(0) != y.size(0))
    throw ShapeError(
        cat("[count_correct] needs logits [n, classes] and y [n]; got ", logits.shape(), " and ", y.shape()));
  const auto best = argmax(logits, 1).to_vector<std::int64_t>();
  const auto wanted = y.to_vector<std::int64_t>();
  std::int64_t n = 0;
  for (std::size_t i = 0; i < best.size(); ++i) n += best[i] == wanted[i] ? 1 : 0;
  return n;
}

namespace {

/// Of the model in the mode that it is in.
Evaluation scored(const nn::Module& model, const Dataset& data, std::int64_t batch) {
  NoGrad guard;
  Evaluation out;
  for (std::int64_t at = 0; at < data.size(); at += batch) {
    const std::int64_t n = std::min(batch, data.size() - at);
    const Tensor logits = model(narrow(data.x, 0, at, n));
    const Tensor y = narrow(data.y, 0, at, n);
    if (logits.dim() != 2 || logits.size(0) != n)
      throw ShapeError(cat("[evaluate] the model must give [n, classes]; got ", logits.shape(), " for n = ", n));
    if (at == 0) check_classes(data.y, logits.size(1));
    out.loss += cross_entropy(logits, y, coppice::Reduction::sum).item<double>();
    out.correct += count_correct(logits, y);
    out.count += n;
  }
  if (out.count > 0) out.loss /= static_cast<double>(out.count);
  return out;
}

void check_batch(std::int64_t batch) {
  if (batch < 1) throw ValueError(cat("[evaluate] batch must be at least 1; got ", batch));
}

}  // namespace

Evaluation evaluate(nn::Module& model, const Dataset& data, std::int64_t batch) {
  check_batch(batch);
  // Listed now: a destructor may not ask for memory.
  struct Restore {
    std::vector<std::pair<nn::Module*, bool>> modes;
    ~Restore() {
      for (const auto& [module, training] : modes) module->set_training(training);
    }
  } restore;
  for (const auto& [path, module] : model.named_modules()) restore.modes.emplace_back(module, module->training());
  model.eval();
  return scored(model, data, batch);
}

Evaluation evaluate(const nn::Module& model, const Dataset& data, std::int64_t batch) {
  check_batch(batch);
  for (const auto& [path, module] : model.named_modules())
    if (module->training()) {
      const nn::ModulePtr copy = model.clone();
      copy->eval();
      return scored(*copy, data, batch);
    }
  return scored(model, data, batch);
}

}  // namespace coppice::sparsity
