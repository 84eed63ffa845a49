// The functions that every program has, under "coppice.".
#include <algorithm>
#include <cmath>
#include <mutex>

#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/engine/ops/select.h"
#include "coppice/sparsity/activation/functions.h"
#include "fold.h"

namespace coppice::sparsity {
namespace {

/// The largest of each element, of negative ones too.
class MaxOf final : public Aggregator {
 public:
  [[nodiscard]] TensorList begin(const Tensor&) const override { return {}; }
  [[nodiscard]] TensorList add(const TensorList& state, const Tensor& x) const override {
    return {state.empty() ? x.clone() : maximum(state[0], x)};
  }
  [[nodiscard]] Tensor value(const TensorList& state) const override { return part_of(state, 0); }
};

Tensor as_it_is(const Tensor& x) { return x; }

/// The sum of what `each` gives, and how many.
class MeanOf final : public Aggregator {
 public:
  explicit MeanOf(Tensor (*each)(const Tensor&)) : each_(each) {}
  [[nodiscard]] TensorList begin(const Tensor& x) const override { return {zeros_like(x), zeros({}, Dtype::f64)}; }
  [[nodiscard]] TensorList add(const TensorList& state, const Tensor& x) const override {
    return {coppice::add(part_of(state, 0), each_(x)), coppice::add(part_of(state, 1), 1)};
  }
  [[nodiscard]] Tensor value(const TensorList& state) const override {
    return div(part_of(state, 0), part_of(state, 1).to(part_of(state, 0).dtype()));
  }

 private:
  Tensor (*each_)(const Tensor&);
};

Tensor sum_of(const Tensor& so_far, const Tensor& x) { return add(so_far, x); }
Tensor abs_sum_of(const Tensor& so_far, const Tensor& x) { return add(so_far, abs(x)); }

Tensor mean_dim0(const Tensor& x) { return mean(x, {0}); }
Tensor sum_dim0(const Tensor& x) { return sum(x, {0}); }
Tensor abs_mean_dim0(const Tensor& x) { return mean(abs(x), {0}); }

Tensor lowest_pruned(const Tensor& x, std::int64_t count) {
  return select_masks({x}, {.count = count, .ties = TieRule::lowest_index})[0];
}

Tensor magnitude(const Tensor& x, const Arguments& config) {
  const double level = config.number("sparsity_level", 0.5);
  if (std::isnan(level)) throw ValueError("[coppice.magnitude] sparsity_level must be a number; got nan");
  const double share = std::clamp(level, 0.0, 1.0) * static_cast<double>(x.numel());
  return lowest_pruned(x, static_cast<std::int64_t>(std::nearbyint(share)));
}

Tensor threshold(const Tensor& x, const Arguments& config) {
  const double least = config.number("threshold");
  if (std::isnan(least)) throw ValueError("[coppice.threshold] threshold must be a number; got nan");
  const Tensor bound = full({}, least, is_floating(x.dtype()) ? x.dtype() : Dtype::f64);  // in x's type, as PyTorch
  return logical_not(lt(abs(x), bound)).to(x.dtype());
}

Tensor top_k(const Tensor& x, const Arguments& config) {
  const std::int64_t k = config.integer("k");
  if (k < 0) throw ValueError(cat("[coppice.top_k] k must be 0 or more; got ", k));
  return lowest_pruned(x, x.numel() - std::min(k, x.numel()));
}

Tensor all_ones(const Tensor& x, const Arguments&) { return ones_like(x); }

}  // namespace

void register_activation_functions() {
  static std::once_flag once;
  std::call_once(once, [] {
    register_function<AggregateSignature>("coppice.sum", sum_of);
    register_function<AggregateSignature>("coppice.abs_sum", abs_sum_of);
    register_function<AggregatorSignature>("coppice.max", [] { return std::make_shared<const MaxOf>(); });
    register_function<AggregatorSignature>("coppice.mean", [] { return std::make_shared<const MeanOf>(as_it_is); });
    register_function<AggregatorSignature>("coppice.abs_mean",
                                           [] { return std::make_shared<const MeanOf>(coppice::abs); });
    register_function<ReduceSignature>("coppice.identity", as_it_is);
    register_function<ReduceSignature>("coppice.mean_dim0", mean_dim0);
    register_function<ReduceSignature>("coppice.sum_dim0", sum_dim0);
    register_function<ReduceSignature>("coppice.abs_mean_dim0", abs_mean_dim0);
    register_mask_function("coppice.magnitude", magnitude, {{"sparsity_level", 0.5}});
    register_mask_function("coppice.threshold", threshold, {{"threshold", Argument()}});
    register_mask_function("coppice.top_k", top_k, {{"k", Argument()}});
    register_mask_function("coppice.ones", all_ones, {});
  });
}

}  // namespace coppice::sparsity
