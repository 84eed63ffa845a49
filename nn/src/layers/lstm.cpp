#include "coppice/nn/layers/lstm.h"

#include "coppice/engine/checked.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/lstm.h"
#include "coppice/engine/ops/shape_ops.h"
#include "coppice/nn/init.h"
#include "layers/common_type.h"

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

/// Calls visit(name, shape) for every tensor of an LSTM, in PyTorch's order.
template <class Visit>
void each_tensor(const LstmSettings& s, Visit visit) {
  const std::int64_t out = s.proj_size > 0 ? s.proj_size : s.hidden_size;
  const std::int64_t gates = 4 * s.hidden_size;
  for (std::int64_t layer = 0; layer < s.num_layers; ++layer)
    for (int direction = 0; direction <= (s.bidirectional ? 1 : 0); ++direction) {
      const std::string end = suffix(layer, direction == 1);
      const std::int64_t in = layer == 0 ? s.input_size : out * (s.bidirectional ? 2 : 1);
      visit("weight_ih" + end, Shape{gates, in});
      visit("weight_hh" + end, Shape{gates, out});
      if (s.bias) {
        visit("bias_ih" + end, Shape{gates});
        visit("bias_hh" + end, Shape{gates});
      }
      if (s.proj_size > 0) visit("weight_hr" + end, Shape{out, s.hidden_size});
    }
}

}  // namespace

/// The tensors of now, read once a call: a parametrized one is computed on every reading.
struct LSTM::Weights {
  TensorList tensors;   // in the order of the names
  int bias, projected;  // tensors of each kind that a direction has
  [[nodiscard]] LstmWeights of(std::int64_t index) const;
};

LSTM::LSTM(const LstmSettings& s) : settings_(s) {
  check(s);
  each_tensor(s, [&](const std::string& name, const Shape& shape) {
    register_parameter(name, uniform_fan(shape, s.hidden_size));
    names_.push_back(name);
  });
}

LSTM::LSTM(const Arguments& a)
    : LSTM(LstmSettings{a.integer("input_size"), a.integer("hidden_size"), a.integer("num_layers", 1),
                        a.boolean("bias", true), a.boolean("batch_first", false), a.number("dropout", 0),
                        a.boolean("bidirectional", false), a.integer("proj_size", 0)}) {}

LstmSettings LSTM::sized(const Tensor& weight_ih, const Tensor& weight_hr) const {
  const auto check_axes = [](const char* name, const Tensor& t) {
    if (t.dim() != 2) throw ShapeError(cat("[LSTM] ", quote(name), " must have 2 axes; got ", t.shape()));
  };
  check_axes("weight_ih_l0", weight_ih);
  LstmSettings now = settings_;
  now.input_size = weight_ih.size(1);
  now.hidden_size = weight_ih.size(0) / 4;
  if (now.proj_size == 0) return now;
  check_axes("weight_hr_l0", weight_hr);
  now.proj_size = weight_hr.size(0);
  return now;
}

LstmSettings LSTM::settings() const {
  return sized(tensor("weight_ih_l0"), settings_.proj_size > 0 ? tensor("weight_hr_l0") : Tensor());
}

LSTM::Weights LSTM::weights() const {
  Weights out;
  for (const std::string& name : names_)
    out.tensors.push_back(name.starts_with("bias") ? find_tensor(name) : tensor(name));
  out.bias = settings_.bias ? 2 : 0, out.projected = settings_.proj_size > 0 ? 1 : 0;
  return out;
}

LstmWeights LSTM::Weights::of(std::int64_t index) const {
  const auto at = [&](std::int64_t i) { return tensors[static_cast<std::size_t>(index * (2 + bias + projected) + i)]; };
  const bool biased = bias > 0;
  return {at(0), at(1), biased ? at(2) : Tensor(), biased ? at(3) : Tensor(), projected > 0 ? at(2 + bias) : Tensor()};
}

void LSTM::check_sizes(const Weights& own, const LstmSettings& s) const {
  std::size_t i = 0;
  each_tensor(s, [&](const std::string& name, const Shape& shape) {
    if (const Tensor& t = own.tensors[i++]; t.defined() && t.shape() != shape)
      throw ShapeError(cat("[LSTM] ", quote(name), " must be ", shape, " where input_size is ", s.input_size,
                           ", hidden_size ", s.hidden_size, " and proj_size ", s.proj_size, "; got ", t.shape()));
  });
  if (s.proj_size > 0 && s.proj_size >= s.hidden_size)
    throw ShapeError(cat("[LSTM] proj_size must be below hidden_size; got ", s.proj_size, " and ", s.hidden_size));
}

Arguments LSTM::arguments() const {
  const LstmSettings s = settings();
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

/// The sequence that comes out, and the last states of each layer and direction.
struct LSTM::Run {
  Tensor sequence;
  TensorList h, c;
};

LSTM::Run LSTM::run(const Tensor& x, const Tensor& h0, const Tensor& c0, const Weights& own,
                    const LstmSettings& s) const {
  const int directions = s.bidirectional ? 2 : 1;
  Run out{x, {}, {}};
  for (std::int64_t layer = 0; layer < s.num_layers; ++layer) {
    TensorList parts;
    for (int direction = 0; direction < directions; ++direction) {
      const std::int64_t index = layer * directions + direction;
      const LstmResult r =
          lstm_layer(out.sequence, select(h0, 0, index), select(c0, 0, index), own.of(index), direction == 1);
      parts.push_back(r.output);
      out.h.push_back(r.h);
      out.c.push_back(r.c);
    }
    out.sequence = join(parts);
    if (training() && s.dropout > 0 && layer + 1 < s.num_layers) out.sequence = dropout(out.sequence, s.dropout);
  }
  return out;
}

TensorList LSTM::forward(const TensorList& inputs) const {
  if (inputs.size() != 1 && inputs.size() != 3)
    throw ValueError(cat("[LSTM] takes x, or x, h0 and c0; got ", inputs.size(), " tensors"));
  Weights own = weights();
  const LstmSettings s = sized(own.of(0).ih, own.of(0).hr);
  check_sizes(own, s);
  TensorList all = own.tensors;
  all.push_back(inputs[0]);
  const auto type = common_type(all);
  for (Tensor& t : own.tensors) t = in_type(t, type);
  Tensor x = in_type(inputs[0], type);
  const bool batched = x.dim() == 3;
  if ((!batched && x.dim() != 2) || x.size(-1) != s.input_size)
    throw ShapeError(
        cat("[LSTM] needs x: [", s.batch_first ? "n, t" : "t, n", ", ", s.input_size, "]; got ", x.shape()));
  if (!batched)
    x = x.reshape(Shape{x.size(0), 1, x.size(1)});
  else if (s.batch_first)
    x = transpose(x, 0, 1);

  const std::int64_t out = s.proj_size > 0 ? s.proj_size : s.hidden_size;
  const auto start = [&](std::size_t i, std::int64_t size) {
    const Shape wanted{s.num_layers * (s.bidirectional ? 2 : 1), x.size(1), size};
    if (inputs.size() == 1) return zeros(wanted, x.dtype());
    const Tensor given = batched ? inputs[i] : inputs[i].reshape({inputs[i].size(0), 1, -1});
    if (given.shape() != wanted)
      throw ShapeError(cat("[LSTM] ", i == 1 ? "h0" : "c0", " must be ", wanted, "; got ", given.shape()));
    return in_type(given, type);
  };
  const Tensor h0 = start(1, out);
  const Tensor c0 = start(2, s.hidden_size);

  const auto [sequence, last_h, last_c] = run(x, h0, c0, own, s);
  Tensor y = batched && s.batch_first ? transpose(sequence, 0, 1) : sequence;
  Tensor h = stack(last_h), c = stack(last_c);
  if (!batched)
    for (Tensor* t : {&y, &h, &c}) *t = t->reshape(Shape{t->size(0), t->size(2)});
  return {y, h, c};
}

TensorList LastStep::forward(const TensorList& inputs) const {
  if (inputs.empty() || inputs[0].dim() != 3)
    throw ShapeError(cat("[LastStep] needs a sequence [", batch_first_ ? "n, t" : "t, n", ", f]; got ",
                         inputs.empty() ? std::string("nothing") : to_string(inputs[0].shape())));
  return {select(inputs[0], batch_first_ ? 1 : 0, -1)};
}

}  // namespace coppice::nn
