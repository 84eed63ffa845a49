#include "coppice/sparsity/sparsifier/wanda.h"

#include <algorithm>
#include <cmath>

#include "blocks/block_mask.h"
#include "coppice/engine/autograd.h"
#include "coppice/engine/checked.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/engine/ops/select.h"
#include "coppice/engine/warn.h"

namespace coppice::sparsity {
namespace {

constexpr const char* kBlockSize = "semi_structured_block_size";

/// 0 where there is none. @throws ValueError  if it is below 1
std::int64_t block_size(const Arguments& config) {
  if (!config.has(kBlockSize)) return 0;
  const std::int64_t m = config.integer(kBlockSize);
  if (m < 1) throw ValueError(cat("[WandaSparsifier] ", kBlockSize, " must be at least 1; got ", m));
  return m;
}

Arguments settings_of(double level, std::optional<std::int64_t> m) {
  Arguments out;
  out.set("sparsity_level", level);
  out.set(kBlockSize, m ? Argument(*m) : Argument());
  (void)read_sparsity_level(out);
  (void)block_size(out);
  return out;
}

/// How many of `elements` a level prunes.
std::int64_t count_of(double level, std::int64_t elements) {
  return static_cast<std::int64_t>(std::clamp(level, 0.0, 1.0) * static_cast<double>(elements));
}

/// The entries of least score go, so many in each run of `run` elements.
Tensor keep_in_runs(const Tensor& scores, std::int64_t run, std::int64_t zeros, TieRule ties) {
  Tensor out = Tensor::empty(scores.shape(), Dtype::boolean);
  if (out.numel() == 0) return out;
  const Importance importance(scores.reshape({scores.numel() / run, run}), Tensor(), Importance::Of::value);
  write_block_mask(importance, {.block = {1, run}, .zeros = zeros, .ties = ties, .by_argsort = true}, out);
  return out;
}

}  // namespace

void ChannelNorms::see(const Tensor& x) {
  if (x.numel() == 0) return;
  if (x.dim() == 0) throw ShapeError("[ChannelNorms] needs an input with an axis of channels; got a number");
  const std::int64_t channels = x.size(-1);
  if (norm_.defined() && norm_.size(0) != channels)
    throw ShapeError(cat("[ChannelNorms] ", channels, " channels after ", norm_.size(0)));
  const NoGrad guard;
  const Tensor rows = x.detach().to(x.dtype() == Dtype::f64 ? Dtype::f64 : Dtype::f32).reshape({-1, channels});
  const Tensor root = coppice::norm(rows, 2, {0});
  const Tensor seen = mul(root, root);
  norm_ = norm_.defined() ? add(norm_, seen) : seen;
}

WandaSparsifier::WandaSparsifier(double sparsity_level, std::optional<std::int64_t> semi_structured_block_size,
                                 TieRule ties)
    : BaseSparsifier(settings_of(sparsity_level, semi_structured_block_size)), ties_(ties) {
  if (semi_structured_block_size) {
    const std::int64_t m = *semi_structured_block_size;
    warn(cat("WandaSparsifier got semi_structured_block_size=", m, ", sparsity_level fixed to 50% (", m / 2, ":", m,
             ") sparsity"));
  }
}

WandaSparsifier::WandaSparsifier(const WandaSparsifier& other) : BaseSparsifier(other), ties_(other.ties_) {
  for (const auto& [fqn, observer] : other.observers_)
    observers_.emplace(fqn, Observer{std::make_shared<ChannelNorms>(*observer.norms), nullptr});
}

const ChannelNorms& WandaSparsifier::observed(std::string_view tensor_fqn) const {
  const auto it = observers_.find(tensor_fqn);
  if (it == observers_.end()) throw KeyError(cat("[WandaSparsifier] ", quote(tensor_fqn), " is not prepared"));
  return *it->second.norms;
}

void WandaSparsifier::check_config(const Group& group) const {
  (void)read_sparsity_level(group.config);
  (void)block_size(group.config);
  (void)group.config.boolean("per_row", false);
}

void WandaSparsifier::check_tensor(const Group& group) const {
  const Tensor weight = group.original();
  if (weight.dim() != 2)
    throw ShapeError(cat("[WandaSparsifier] needs a tensor of 2 axes; got shape ", weight.shape()));
  if (weight.shape() != group.mask().shape())
    throw ShapeError(
        cat("[WandaSparsifier] an original of shape ", weight.shape(), " behind a mask of ", group.mask().shape()));
  const Tensor& norm = observed(group.tensor_fqn()).norm();
  if (!norm.defined())
    throw StateError("[WandaSparsifier] nothing was seen yet; call the model with calibration data first");
  if (norm.size(0) != weight.size(1))
    throw ShapeError(
        cat("[WandaSparsifier] ", norm.size(0), " input channels were seen for a tensor of shape ", weight.shape()));
  const std::int64_t m = block_size(group.config);
  if (m != 0 && weight.numel() % m != 0)
    throw ValueError(cat("[WandaSparsifier] blocks of ", m, " do not divide the ", weight.numel(),
                         " elements of shape ", weight.shape()));
}

void WandaSparsifier::update_mask(Group& group) {
  const Tensor scores = mul(abs(group.original().detach()), observed(group.tensor_fqn()).norm());
  const double level = read_sparsity_level(group.config);
  Tensor kept;
  if (const std::int64_t m = block_size(group.config); m != 0)
    kept = keep_in_runs(scores, m, m / 2, ties_);
  else if (group.config.boolean("per_row", false))
    kept = keep_in_runs(scores, scores.size(1), count_of(level, scores.size(1)), ties_);
  else if (ties_ == TieRule::pytorch)
    kept = keep_in_runs(scores, scores.numel(), count_of(level, scores.numel()), ties_);
  else
    kept = select_masks({scores}, {.count = count_of(level, scores.numel()), .magnitude = false, .ties = ties_}, {},
                        Dtype::boolean)[0];
  Tensor mask = group.mask();
  mask.copy_(where(kept, mask, zeros_like(mask)));
}

void WandaSparsifier::on_prepared(Group& group) {
  const auto known = observers_.find(group.tensor_fqn());  // of a copy, or of the model before
  auto norms = known == observers_.end() ? std::make_shared<ChannelNorms>() : known->second.norms;
  // Clones of the module copy the hook: theirs sees nothing.
  auto hook = std::make_unique<nn::ScopedHook>(group.module().register_forward_pre_hook(
      [observer = std::weak_ptr(norms), home = &group.module()](const nn::Module& module,
                                                                const TensorList& inputs) -> std::optional<TensorList> {
        if (const auto alive = observer.lock(); alive != nullptr && home == &module && !inputs.empty())
          alive->see(inputs[0]);
        return std::nullopt;
      }));
  observers_.insert_or_assign(group.tensor_fqn(), Observer{std::move(norms), std::move(hook)});
}

void WandaSparsifier::on_squashed(Group& group) { observers_.erase(group.tensor_fqn()); }

}  // namespace coppice::sparsity
