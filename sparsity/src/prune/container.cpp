#include "coppice/sparsity/prune/container.h"

#include "coppice/engine/autograd.h"
#include "coppice/engine/ops/reduce.h"
#include "left.h"

namespace coppice::sparsity::prune {
namespace {

using Chosen = std::vector<std::uint8_t>;  // one per entry, row-major

/// The chosen entries in row-major order.
Tensor gather(const Tensor& t, const Chosen& chosen, const Shape& shape) {
  Tensor out = Tensor::empty(shape, t.dtype());
  dispatch(t.dtype(), [&]<class T>() {
    const T* from = t.data<T>().data();
    T* to = out.mutable_data<T>().data();
    for (const std::uint8_t c : chosen) {
      if (c) *to++ = *from;
      ++from;
    }
  });
  return out;
}

void scatter(Tensor& t, const Chosen& chosen, const Tensor& part) {
  dispatch(t.dtype(), [&]<class T>() {
    const T* from = part.data<T>().data();
    T* to = t.mutable_data<T>().data();
    for (const std::uint8_t c : chosen) {
      if (c) *to = *from++;
      ++to;
    }
  });
}

Tensor checked_mask(const Method& method, const Tensor& scores, const Tensor& mask) {
  Tensor out = method.compute_mask(scores, mask);
  if (!out.defined()) throw TypeError(cat("[prune] ", method.type_name(), " returned no mask"));
  if (out.shape() != mask.shape())
    throw ShapeError(cat("[prune] ", method.type_name(), " returned a mask ", out.shape(), " for ", mask.shape()));
  return out;
}

/// Entries of slices along `axis` whose mask does not sum to 0; `kept` counts the slices.
Chosen live_slices(const Tensor& mask, std::int64_t axis, std::int64_t& kept) {
  Axes others;
  std::int64_t inner = 1;
  for (std::int64_t i = 0; i < mask.dim(); ++i) {
    if (i != axis) others.push_back(i);
    if (i > axis) inner *= mask.size(i);
  }
  std::vector<double> sums = (others.empty() ? mask : sum(mask, others)).to_vector<double>();
  kept = 0;
  for (const double s : sums) kept += s != 0;
  Chosen chosen(static_cast<std::size_t>(mask.numel()));
  for (std::size_t i = 0; i < chosen.size(); ++i)
    chosen[i] = sums[i / static_cast<std::size_t>(inner) % sums.size()] != 0;
  return chosen;
}

}  // namespace

Tensor combine(const Method& method, const Tensor& scores, const Tensor& mask) {
  if (scores.shape() != mask.shape())
    throw ShapeError(cat("[prune] scores ", scores.shape(), " and mask ", mask.shape(), " differ in shape"));
  NoGrad guard;
  const Dtype type = scores.dtype();
  Chosen chosen;
  Shape shape;
  switch (method.pruning_type()) {
    case PruningType::global:
      // A copy: what writes to it and then fails would leave the module with another mask.
      return checked_mask(method, scores, mask.clone()).to(type).clone();
    case PruningType::unstructured: {
      if (const auto* l1 = dynamic_cast<const L1Unstructured*>(&method)) {
        const Ranked all{scores, mask, scores.shape(), type};
        if (auto masks = prune_left(*l1, {&all, 1})) return (*masks)[0];
      }
      chosen.resize(static_cast<std::size_t>(mask.numel()));
      std::int64_t count = 0;
      dispatch(mask.dtype(), [&]<class T>() {
        const auto from = mask.data<T>();
        for (std::size_t i = 0; i < from.size(); ++i) count += chosen[i] = convert<double>(from[i]) == 1;
      });
      shape = Shape{count};
      break;
    }
    case PruningType::structured: {
      if (!method.dim()) throw KeyError(cat("[prune] structured method ", method.type_name(), " has no dim"));
      if (mask.dim() < 1) throw ShapeError("[prune] structured pruning of a tensor without axes");
      const std::int64_t axis = resolve_axis("prune", *method.dim(), mask.dim());
      std::vector<std::int64_t> sizes(mask.shape().begin(), mask.shape().end());
      chosen = live_slices(mask, axis, sizes[static_cast<std::size_t>(axis)]);
      shape = Shape(sizes);
      break;
    }
    default: throw ValueError(cat("[prune] ", method.type_name(), " has an unknown pruning type"));
  }
  const Tensor part = checked_mask(method, gather(scores, chosen, shape), gather(mask, chosen, shape));
  Tensor out = mask.to(type).clone();
  scatter(out, chosen, part.to(type));
  return out;
}

PruningContainer::PruningContainer(const std::vector<MethodPtr>& methods) {
  for (const MethodPtr& m : methods)
    if (m && tensor_name().empty()) set_tensor_name(m->tensor_name());
  for (const MethodPtr& m : methods) add_pruning_method(m);
}

void PruningContainer::add_pruning_method(MethodPtr method) {
  if (!method) throw TypeError("[add_pruning_method] not a pruning method: null");
  const std::string& name = method->tensor_name();
  if (!name.empty() && name != tensor_name())
    throw ValueError(cat("[add_pruning_method] method for '", name, "' in a container for '", tensor_name(), "'"));
  methods_.push_back(std::move(method));
}

const MethodPtr& PruningContainer::operator[](std::int64_t position) const {
  const auto n = static_cast<std::int64_t>(methods_.size());
  if (position < -n || position >= n) throw IndexError(cat("[PruningContainer] no method ", position, " of ", n));
  return methods_[static_cast<std::size_t>(position < 0 ? position + n : position)];
}

Tensor PruningContainer::compute_mask(const Tensor& scores, const Tensor& default_mask) const {
  return combine(*(*this)[-1], scores, default_mask);
}

std::vector<nn::MaskStep> PruningContainer::steps() const {
  std::vector<nn::MaskStep> out;
  for (const MethodPtr& m : methods_)
    for (nn::MaskStep& step : m->steps()) out.push_back(std::move(step));
  return out;
}

}  // namespace coppice::sparsity::prune
