#include "coppice/nn/layers/norm.h"

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/nn/init.h"

namespace coppice::nn {
namespace {

/// [c] as [1, c, 1, …] of the rank of `x`, so that it broadcasts along the channels.
Tensor per_channel(const Tensor& t, const Tensor& x) {
  std::vector<std::int64_t> sizes(static_cast<std::size_t>(x.dim()), 1);
  sizes[1] = t.numel();
  return t.reshape(Shape(std::move(sizes)));
}

/// Initial values; under SkipInit unfilled, so that a size in a file that lies costs no memory.
Tensor filled(const Shape& shape, double value) {
  return SkipInit::active() ? Tensor::empty(shape) : full(shape, value);
}

}  // namespace

BatchNorm::BatchNorm(std::string_view type, const BatchNormSettings& s) : settings_(s) {
  if (s.features < 1 || !(s.eps >= 0))
    throw ValueError(
        cat("[", type, "] num_features must be at least 1 and eps at least 0; got ", s.features, " and ", s.eps));
  register_parameter("weight", s.affine ? filled({s.features}, 1) : Tensor());
  register_parameter("bias", s.affine ? filled({s.features}, 0) : Tensor());
  if (!s.track_running_stats) return;
  register_buffer("running_mean", filled({s.features}, 0));
  register_buffer("running_var", filled({s.features}, 1));
  register_buffer("num_batches_tracked", zeros(Shape{}, Dtype::i64));
}

BatchNormSettings BatchNorm::settings_from(const Arguments& a) {
  BatchNormSettings s;
  s.features = a.integer("num_features");
  s.eps = a.number("eps", s.eps);
  if (a.boolean("cumulative", false))
    s.momentum.reset();
  else
    s.momentum = a.number("momentum", 0.1);
  s.affine = a.boolean("affine", true);
  s.track_running_stats = a.boolean("track_running_stats", true);
  return s;
}

Arguments BatchNorm::arguments() const {
  Arguments a{{"num_features", settings_.features}, {"eps", settings_.eps}};
  if (settings_.momentum)
    a.set("momentum", *settings_.momentum);
  else
    a.set("cumulative", true);
  a.set("affine", settings_.affine);
  a.set("track_running_stats", settings_.track_running_stats);
  return a;
}

void BatchNorm::track(const Tensor& mean, const Tensor& variance, std::int64_t count) const {
  NoGrad guard;
  Tensor batches = tensor("num_batches_tracked");
  batches.add_(Tensor::of(1));
  const double momentum = settings_.momentum.value_or(1 / batches.item<double>());
  const double unbiased = count > 1 ? static_cast<double>(count) / static_cast<double>(count - 1) : 1;
  Tensor running_mean = tensor("running_mean");
  Tensor running_var = tensor("running_var");
  running_mean.mul_(1 - momentum).add_(mean.detach(), momentum);
  running_var.mul_(1 - momentum).add_(variance.detach(), momentum * unbiased);
}

Tensor BatchNorm::normalise(const Tensor& x) const {
  if (x.size(1) != settings_.features)
    throw ShapeError(cat("[", type_name(), "] needs ", settings_.features, " channels; got x: ", x.shape()));
  Tensor mean, variance;
  if (training() || !settings_.track_running_stats) {
    Axes axes{0};
    for (std::int64_t i = 2; i < x.dim(); ++i) axes.push_back(i);
    const std::int64_t count = x.numel() / x.size(1);
    if (training() && count <= 1)
      throw ValueError(cat("[", type_name(), "] needs more than 1 value per channel in training; got x: ", x.shape()));
    mean = coppice::mean(x, axes);
    variance = var(x, axes, 0);
    if (training() && settings_.track_running_stats) track(mean, variance, count);
  } else {
    mean = tensor("running_mean").to(x.dtype());
    variance = tensor("running_var").to(x.dtype());
  }
  const Tensor weight = find_tensor("weight");
  Tensor scale = pow(variance + settings_.eps, -0.5);
  if (weight.defined()) scale = scale * weight;
  const Tensor y = (x - per_channel(mean, x)) * per_channel(scale, x);
  const Tensor bias = find_tensor("bias");
  return bias.defined() ? y + per_channel(bias, x) : y;
}

Tensor BatchNorm1d::forward(const Tensor& x) const {
  if (x.dim() != 2 && x.dim() != 3) throw ShapeError(cat("[BatchNorm1d] needs [n, c] or [n, c, l]; got ", x.shape()));
  return normalise(x);
}

Tensor BatchNorm2d::forward(const Tensor& x) const {
  if (x.dim() != 4) throw ShapeError(cat("[BatchNorm2d] needs [n, c, h, w]; got ", x.shape()));
  return normalise(x);
}

LayerNorm::LayerNorm(std::vector<std::int64_t> shape, double eps, bool affine, bool bias)
    : shape_(std::move(shape)), eps_(eps) {
  if (shape_.empty()) throw ValueError("[LayerNorm] normalized_shape must not be empty");
  register_parameter("weight", affine ? filled(Shape(shape_), 1) : Tensor());
  register_parameter("bias", affine && bias ? filled(Shape(shape_), 0) : Tensor());
}

LayerNorm::LayerNorm(const Arguments& a)
    : LayerNorm(a.integers("normalized_shape"), a.number("eps", 1e-5), a.boolean("elementwise_affine", true),
                a.boolean("bias", true)) {}

Arguments LayerNorm::arguments() const {
  return {{"normalized_shape", shape_},
          {"eps", eps_},
          {"elementwise_affine", find_tensor("weight").defined()},
          {"bias", find_tensor("bias").defined() || !find_tensor("weight").defined()}};
}

Tensor LayerNorm::forward(const Tensor& x) const {
  const auto rank = static_cast<std::int64_t>(shape_.size());
  bool fits = x.dim() >= rank;
  Axes axes;
  for (std::int64_t i = 0; fits && i < rank; ++i) {
    axes.push_back(x.dim() - rank + i);
    fits = x.size(axes.back()) == shape_[static_cast<std::size_t>(i)];
  }
  if (!fits) throw ShapeError(cat("[LayerNorm] x ", x.shape(), " does not end in ", Shape(shape_)));
  const Tensor centred = x - mean(x, axes, true);
  Tensor y = centred * pow(mean(centred * centred, axes, true) + eps_, -0.5);
  if (const Tensor weight = find_tensor("weight"); weight.defined()) y = y * weight;
  if (const Tensor bias = find_tensor("bias"); bias.defined()) y = y + bias;
  return y;
}

}  // namespace coppice::nn
