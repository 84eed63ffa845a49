#include "coppice/nn/layers/lstm.h"

#include "coppice/engine/create.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/lstm.h"
#include "coppice/engine/ops/shape_ops.h"
#include "coppice/nn/init.h"

namespace coppice::nn {
namespace {

// A file may ask for any number: beyond these nothing could be computed, and a mere attempt would take hours.
constexpr std::int64_t kLargest = std::int64_t{1} << 40;
constexpr std::int64_t kMostLayers = 1000;

std::string suffix(std::int64_t layer, bool reverse) { return cat("_l", layer, reverse ? "_reverse" : ""); }

void check(const LstmSettings& s) {
  if (s.input_size < 1 || s.hidden_size < 1 || s.num_layers < 1 || s.hidden_size > kLargest ||
      s.num_layers > kMostLayers)
    throw ValueError(cat("[LSTM] input_size, hidden_size and num_layers must be at least 1, and at most ", kLargest,
                         " and ", kMostLayers, " the latter two; got ", s.input_size, ", ", s.hidden_size, " and ",
                         s.num_layers));
  if (s.proj_size < 0 || s.proj_size >= s.hidden_size)
    throw ValueError(
        cat("[LSTM] proj_size must be in 0..hidden_size - 1 = ", s.hidden_size - 1, "; got ", s.proj_size));
  if (!(s.dropout >= 0 && s.dropout <= 1)) throw ValueError(cat("[LSTM] dropout must be in 0..1; got ", s.dropout));
}

/// Joins the directions along the features; a single one passes through.
Tensor join(const TensorList& parts) { return parts.size() == 1 ? parts[0] : cat_tensors(parts, -1); }

}  // namespace

LSTM::LSTM(const LstmSettings& s) : settings_(s) {
  check(s);
  const std::int64_t out = s.proj_size > 0 ? s.proj_size : s.hidden_size;
  const std::int64_t gates = 4 * s.hidden_size;
  const auto add = [&](const std::string& name, const Shape& shape) {
    register_parameter(name, uniform_fan(shape, s.hidden_size));
    names_.push_back(name);
  };
  for (std::int64_t layer = 0; layer < s.num_layers; ++layer)
    for (int direction = 0; direction <= (s.bidirectional ? 1 : 0); ++direction) {
      const std::string end = suffix(layer, direction == 1);
      const std::int64_t in = layer == 0 ? s.input_size : out * (s.bidirectional ? 2 : 1);
      add("weight_ih" + end, {gates, in});
      add("weight_hh" + end, {gates, out});
      if (s.bias) {
        add("bias_ih" + end, {gates});
        add("bias_hh" + end, {gates});
      }
      if (s.proj_size > 0) add("weight_hr" + end, {out, s.hidden_size});
    }
}

LSTM::LSTM(const Arguments& a)
    : LSTM(LstmSettings{a.integer("input_size"), a.integer("hidden_size"), a.integer("num_layers", 1),
                        a.boolean("bias", true), a.boolean("batch_first", false), a.number("dropout", 0),
                        a.boolean("bidirectional", false), a.integer("proj_size", 0)}) {}

Arguments LSTM::arguments() const {
  const LstmSettings& s = settings_;
  return {{"input_size", s.input_size},   {"hidden_size", s.hidden_size},
          {"num_layers", s.num_layers},   {"bias", s.bias},
          {"batch_first", s.batch_first}, {"dropout", s.dropout},
          {"proj_size", s.proj_size},     {"bidirectional", s.bidirectional}};
}

TensorList LSTM::flat_weights() const {
  TensorList out;
  for (const std::string& name : names_) out.push_back(tensor(name));
  return out;
}

TensorList LSTM::forward(const TensorList& inputs) const {
  if (inputs.size() != 1 && inputs.size() != 3)
    throw ValueError(cat("[LSTM] takes x, or x, h0 and c0; got ", inputs.size(), " tensors"));
  const LstmSettings& s = settings_;
  Tensor x = inputs[0];
  const bool batched = x.dim() == 3;
  if ((!batched && x.dim() != 2) || x.size(-1) != s.input_size)
    throw ShapeError(
        cat("[LSTM] needs x: [", s.batch_first ? "n, t" : "t, n", ", ", s.input_size, "]; got ", x.shape()));
  if (!batched)
    x = x.reshape(Shape{x.size(0), 1, x.size(1)});
  else if (s.batch_first)
    x = transpose(x, 0, 1);

  const std::int64_t directions = s.bidirectional ? 2 : 1;
  const std::int64_t out = s.proj_size > 0 ? s.proj_size : s.hidden_size;
  const auto start = [&](std::size_t i, std::int64_t size) {
    const Shape wanted{s.num_layers * directions, x.size(1), size};
    if (inputs.size() == 1) return zeros(wanted, x.dtype());
    const Tensor given = batched ? inputs[i] : inputs[i].reshape({inputs[i].size(0), 1, -1});
    if (given.shape() != wanted)
      throw ShapeError(cat("[LSTM] ", i == 1 ? "h0" : "c0", " must be ", wanted, "; got ", given.shape()));
    return given;
  };
  const Tensor h0 = start(1, out);
  const Tensor c0 = start(2, s.hidden_size);

  TensorList last_h, last_c;
  for (std::int64_t layer = 0; layer < s.num_layers; ++layer) {
    TensorList parts;
    for (std::int64_t direction = 0; direction < directions; ++direction) {
      const std::string end = suffix(layer, direction == 1);
      const LstmWeights weights{tensor("weight_ih" + end), tensor("weight_hh" + end), find_tensor("bias_ih" + end),
                                find_tensor("bias_hh" + end), find_tensor("weight_hr" + end)};
      const std::int64_t index = layer * directions + direction;
      const LstmResult r = lstm_layer(x, select(h0, 0, index), select(c0, 0, index), weights, direction == 1);
      parts.push_back(r.output);
      last_h.push_back(r.h);
      last_c.push_back(r.c);
    }
    x = join(parts);
    if (training() && s.dropout > 0 && layer + 1 < s.num_layers) x = dropout(x, s.dropout);
  }
  Tensor y = batched && s.batch_first ? transpose(x, 0, 1) : x;
  Tensor h = stack(last_h);
  Tensor c = stack(last_c);
  if (!batched) {
    y = y.reshape(Shape{y.size(0), y.size(2)});
    h = h.reshape(Shape{h.size(0), h.size(2)});
    c = c.reshape(Shape{c.size(0), c.size(2)});
  }
  return {y, h, c};
}

TensorList LastStep::forward(const TensorList& inputs) const {
  if (inputs.empty() || inputs[0].dim() != 3)
    throw ShapeError(cat("[LastStep] needs a sequence [", batch_first_ ? "n, t" : "t, n", ", f]; got ",
                         inputs.empty() ? std::string("nothing") : to_string(inputs[0].shape())));
  return {select(inputs[0], batch_first_ ? 1 : 0, -1)};
}

}  // namespace coppice::nn
