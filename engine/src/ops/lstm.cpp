#include "coppice/engine/ops/lstm.h"

#include <array>
#include <cmath>
#include <cstring>
#include <optional>
#include <utility>

#include "broadcast.h"
#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/linalg.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/engine/ops/shape_ops.h"
#include "functions.h"
#include "gemm.h"
#include "ops/map.h"
#include "ops/op_rows.h"

namespace coppice {
namespace {

struct Sizes {
  std::int64_t t, n, in, hidden, out;
  bool projected;
};

Sizes checked_sizes(const Tensor& x, const Tensor& h0, const Tensor& c0, const LstmWeights& w) {
  if (x.dim() != 3 || w.ih.dim() != 2 || w.hh.dim() != 2)
    throw ShapeError(cat("[lstm] needs x: [t, n, in]; got ", x.shape()));
  Sizes s{x.size(0), x.size(1), x.size(2), w.ih.size(0) / 4, w.hh.size(1), w.hr.defined()};
  const auto expect = [](const char* what, const Tensor& t, const Shape& shape) {
    if (t.defined() && t.shape() != shape)
      throw ShapeError(cat("[lstm] ", what, " must be ", shape, "; got ", t.shape()));
  };
  expect("weight_ih", w.ih, {4 * s.hidden, s.in});
  expect("weight_hh", w.hh, {4 * s.hidden, s.projected ? s.out : s.hidden});
  expect("bias_ih", w.bias_ih, {4 * s.hidden});
  expect("bias_hh", w.bias_hh, {4 * s.hidden});
  expect("weight_hr", w.hr, {s.out, s.hidden});
  expect("h0", h0, {s.n, s.out});
  expect("c0", c0, {s.n, s.hidden});
  for (const Tensor* t : {&h0, &c0, &w.ih, &w.hh, &w.bias_ih, &w.bias_hh, &w.hr})
    if (t->defined() && t->dtype() != x.dtype())
      throw DtypeError(cat("[lstm] all tensors must be ", x.dtype(), " like x; got ", t->dtype()));
  if (!is_floating(x.dtype())) throw DtypeError(cat("[lstm] needs a floating type; got ", x.dtype()));
  return s;
}

void cell(const float* gates, const float* before, float* c, float* h, float* acts, std::int64_t hidden) {
  kernels::lstm_cell(gates, before, c, h, acts, hidden);
}

void cell(const double* gates, const double* before, double* c, double* h, double* acts, std::int64_t hidden) {
  const auto sigma = [](double v) { return 1 / (1 + std::exp(-v)); };
  for (std::int64_t j = 0; j < hidden; ++j) {
    const double i = sigma(gates[j]), f = sigma(gates[hidden + j]);
    const double g = std::tanh(gates[2 * hidden + j]), o = sigma(gates[3 * hidden + j]);
    c[j] = f * before[j] + i * g;
    h[j] = o * std::tanh(c[j]);
    if (acts != nullptr) acts[j] = i, acts[hidden + j] = f, acts[2 * hidden + j] = g, acts[3 * hidden + j] = o;
  }
}

/// What the forward pass leaves for the backward pass.
struct Trace {
  Tensor acts;  // [t, n, 4H] activated gates
  Tensor c;     // [t, n, H]
  Tensor raw;   // [t, n, H] hidden values before the projection

  Trace(const Sizes& s, Dtype dtype)
      : acts(Tensor::empty({s.t, s.n, 4 * s.hidden}, dtype)),
        c(Tensor::empty({s.t, s.n, s.hidden}, dtype)),
        raw(s.projected ? Tensor::empty({s.t, s.n, s.hidden}, dtype) : Tensor()) {}
};

/// C += A op(B) with contiguous rows.
template <class T>
void multiply_add(std::int64_t m, std::int64_t n, std::int64_t k, const T* a, const T* b, bool trans_b, T* c,
                  bool accumulate) {
  kernels::Gemm<T> g;
  g.m = m, g.n = n, g.k = k, g.a = a, g.lda = k, g.b = b, g.ldb = trans_b ? k : n, g.trans_b = trans_b;
  g.c = c, g.ldc = n, g.accumulate = accumulate;
  kernels::gemm(g);
}

template <class T>
const T* at(const Tensor& t, std::int64_t step) {
  return t.data<T>().data() + step * t.size(1) * t.size(2);
}

template <class T>
T* at(Tensor& t, std::int64_t step) {
  return t.mutable_data<T>().data() + step * t.size(1) * t.size(2);
}

/// cell() for all samples of a step; gates and their activations have rows of 4H, the others of H.
template <class T>
void cells(const Sizes& s, const T* gates, const T* before, T* c, T* h, T* acts) {
  parallel_for(s.n, 1 + (1 << 13) / (s.hidden + 1), [&](Rows rows) {
    for (std::int64_t row = rows.begin; row < rows.end; ++row)
      cell(gates + row * 4 * s.hidden, before + row * s.hidden, c + row * s.hidden, h + row * s.hidden,
           acts != nullptr ? acts + row * 4 * s.hidden : nullptr, s.hidden);
  });
}

template <class T>
LstmResult forward(const Sizes& s, const Tensor& x, const Tensor& h0, const Tensor& c0, const LstmWeights& w,
                   bool reverse, Trace* trace) {
  Tensor bias = w.bias_ih.defined() ? w.bias_ih.detach() : Tensor();
  if (w.bias_hh.defined()) bias = bias.defined() ? bias.clone().add_(w.bias_hh.detach()) : w.bias_hh.detach();
  Tensor gates =
      linear(x.detach().reshape(Shape{s.t * s.n, s.in}), w.ih.detach(), bias).reshape(Shape{s.t, s.n, 4 * s.hidden});
  const Dtype dtype = x.dtype();
  LstmResult r{Tensor::empty({s.t, s.n, s.out}, dtype), h0.detach().clone(), c0.detach().clone()};
  Tensor raw = s.projected ? Tensor::empty({1, s.n, s.hidden}, dtype) : Tensor();
  // A product reads [k, n] faster than [n, k]: with several samples and steps the turn pays for itself.
  const bool turned = s.t > 1 && s.n > 4;
  const Tensor hh = turned ? permuted(w.hh.detach(), std::array<std::int64_t, 2>{1, 0}) : w.hh.detach();
  for (std::int64_t i = 0; i < s.t; ++i) {
    const std::int64_t step = reverse ? s.t - 1 - i : i;
    T* g = at<T>(gates, step);
    multiply_add(s.n, 4 * s.hidden, s.out, r.h.data<T>().data(), hh.template data<T>().data(), !turned, g, true);
    const T* before = r.c.data<T>().data();
    T* c = trace != nullptr ? at<T>(trace->c, step) : r.c.mutable_data<T>().data();
    T* y = at<T>(r.output, step);
    T* h = !s.projected ? y : trace != nullptr ? at<T>(trace->raw, step) : raw.mutable_data<T>().data();
    T* acts = trace != nullptr ? at<T>(trace->acts, step) : nullptr;
    cells(s, static_cast<const T*>(g), before, c, h, acts);
    if (s.projected) multiply_add(s.n, s.out, s.hidden, h, w.hr.data<T>().data(), true, y, false);
    if (trace != nullptr) std::memcpy(r.c.mutable_bytes(), c, r.c.nbytes());
    std::memcpy(r.h.mutable_bytes(), y, r.h.nbytes());
  }
  return r;
}

/// Through one cell: gradients of its gates and of the cell state before it.
/// dc holds the gradient of the new state from later steps, and receives that of the old state.
template <class T>
void cell_gradient(const T* acts, const T* c, const T* before, const T* dh, T* dc, T* dgates, std::int64_t hidden) {
  for (std::int64_t j = 0; j < hidden; ++j) {
    const T i = acts[j], f = acts[hidden + j], g = acts[2 * hidden + j], o = acts[3 * hidden + j];
    const T squashed = std::tanh(c[j]);
    const T total = dc[j] + dh[j] * o * (1 - squashed * squashed);
    dgates[j] = total * g * i * (1 - i);
    dgates[hidden + j] = total * before[j] * f * (1 - f);
    dgates[2 * hidden + j] = total * i * (1 - g * g);
    dgates[3 * hidden + j] = dh[j] * squashed * o * (1 - o);
    dc[j] = total * f;
  }
}

/// Everything the backward pass reads.
struct Kept {
  Saved x, h0, c0, ih, hh, hr, output;
  Trace trace;
  Kept(const Tensor& x0, const Tensor& h, const Tensor& c, const LstmWeights& w, const Tensor& y, Trace made)
      : x(x0), h0(h), c0(c), ih(w.ih), hh(w.hh), hr(w.hr), output(y), trace(std::move(made)) {}
};

/// cell_gradient() for all samples of a step.
template <class T>
void cell_gradients(const Sizes& s, const T* acts, const T* c, const T* before, const T* dh, T* dc, T* dgates) {
  parallel_for(s.n, 1 + (1 << 12) / (s.hidden + 1), [&](Rows rows) {
    for (std::int64_t r = rows.begin; r < rows.end; ++r)
      cell_gradient(acts + r * 4 * s.hidden, c + r * s.hidden, before + r * s.hidden, dh + r * s.hidden,
                    dc + r * s.hidden, dgates + r * 4 * s.hidden, s.hidden);
  });
}

/// The hidden state that each step started from, [t n, R].
Tensor starts_of(const Sizes& s, const Kept& k, bool reverse) {
  const Tensor first = k.h0().reshape(Shape{1, s.n, s.out});
  if (s.t == 0) return narrow(first, 0, 0, 0).reshape(Shape{0, s.out});
  // What throws in the middle of a list of tensors is taken apart wrongly by GCC 12: nothing below does.
  const Tensor others = narrow(k.output(), 0, reverse ? 1 : 0, s.t - 1);
  TensorList parts{first, others};
  if (reverse) std::swap(parts[0], parts[1]);
  return cat_tensors(parts).reshape(Shape{s.t * s.n, s.out});
}

template <class T>
GradList backward(const Sizes& s, const Kept& k, bool reverse, const GradList& dys, bool has_ih, bool has_hh) {
  const Dtype dtype = k.x().dtype();
  Tensor dgates = Tensor::empty({s.t, s.n, 4 * s.hidden}, dtype);
  Tensor dh = dys[1].defined() ? dys[1].clone() : zeros({s.n, s.out}, dtype);
  Tensor dc = dys[2].defined() ? dys[2].clone() : zeros({s.n, s.hidden}, dtype);
  Tensor dhr = s.projected ? zeros({s.out, s.hidden}, dtype) : Tensor();
  for (std::int64_t i = s.t - 1; i >= 0; --i) {
    const std::int64_t step = reverse ? s.t - 1 - i : i;
    const std::int64_t previous = reverse ? step + 1 : step - 1;
    if (dys[0].defined()) dh.add_(select(dys[0], 0, step));
    Tensor draw = dh;
    if (s.projected) {
      draw = matmul(dh, k.hr());
      dhr.add_(matmul(transpose(dh), select(k.trace.raw, 0, step)));
    }
    const T* before = i == 0 ? k.c0().template data<T>().data() : at<T>(k.trace.c, previous);
    cell_gradients(s, at<T>(k.trace.acts, step), at<T>(k.trace.c, step), before, draw.template data<T>().data(),
                   dc.mutable_data<T>().data(), at<T>(dgates, step));
    dh = matmul(select(dgates, 0, step), k.hh());
  }
  const Tensor flat = dgates.reshape(Shape{s.t * s.n, 4 * s.hidden});
  const Tensor flat_t = transpose(flat);
  const Tensor dbias = has_ih || has_hh ? sum(flat, {0}) : Tensor();
  const Tensor dx = matmul(flat, k.ih()).reshape(k.x().shape());
  const Tensor dih = matmul(flat_t, k.x().reshape(Shape{s.t * s.n, s.in}));
  const Tensor dhh = matmul(flat_t, starts_of(s, k, reverse));
  const Tensor none;
  return {dx, dh, dc, dih, dhh, has_ih ? dbias : none, has_hh ? dbias : none, dhr};
}

constexpr AttributeRow kLstm[] = {{"reverse", AttributeKind::boolean, false}};
TensorList lstm_from(rows::In in, rows::With a) {
  const LstmResult y =
      lstm_layer(in[0], in[1], in[2], {in[3], in[4], rows::input(in, 5), rows::input(in, 6), rows::input(in, 7)},
                 a.boolean("reverse"));
  return {y.output, y.h, y.c};
}

// name, PyTorch, ONNX, inputs, attributes, flags, call.
constexpr OpRow kLstmRow =
    rows::row("lstm_layer", "torch.nn.LSTM", "LSTM", "input h0 c0 weight_ih weight_hh [bias_ih] [bias_hh] [weight_hr]",
              kLstm, OpFlags::differentiable, lstm_from);

/// The result by way of float32, each tensor converted.
LstmResult half_layer(const Tensor& x, const Tensor& h0, const Tensor& c0, const LstmWeights& w, bool reverse) {
  const auto up = [](const Tensor& t) { return t.defined() ? t.to(Dtype::f32) : t; };
  const LstmWeights weights{up(w.ih), up(w.hh), up(w.bias_ih), up(w.bias_hh), up(w.hr)};
  const LstmResult r = lstm_layer(up(x), up(h0), up(c0), weights, reverse);
  return {r.output.to(x.dtype()), r.h.to(x.dtype()), r.c.to(x.dtype())};
}

}  // namespace

rows::Rows rows::lstm() {
  static constexpr const OpRow* kRows[] = {&kLstmRow};
  return kRows;
}

LstmResult lstm_layer(const Tensor& x, const Tensor& h0, const Tensor& c0, const LstmWeights& w, bool reverse) {
  const Op op(kLstmRow, [reverse](Arguments& a) { a.set("reverse", reverse); });
  const std::array<std::reference_wrapper<const Tensor>, 8> list{x, h0, c0, w.ih, w.hh, w.bias_ih, w.bias_hh, w.hr};
  const OpTensors inputs(list);
  const Sizes s = checked_sizes(x, h0, c0, w);
  const Dtype inner = detail::compute_dtype(x.dtype());
  if (inner != x.dtype()) {
    const LstmResult r = half_layer(x, h0, c0, w, reverse);
    op.results({r.output, r.h, r.c}, inputs);
    return r;
  }
  return detail::dispatch_float(inner, [&]<class T>() {
    std::optional<Trace> trace;
    if (inputs.need_grad()) trace.emplace(s, inner);
    const LstmResult r = [&] {
      const NoGrad guard;
      return forward<T>(s, x, h0, c0, w, reverse, trace ? &*trace : nullptr);
    }();
    const TensorList ys = op.with_grad(TensorList{r.output, r.h, r.c}, inputs, [&] {
      return [s, k = Kept(x, h0, c0, w, r.output, *trace), reverse, has_ih = w.bias_ih.defined(),
              has_hh = w.bias_hh.defined()](const GradList& dys) {
        return backward<T>(s, k, reverse, dys, has_ih, has_hh);
      };
    });
    return LstmResult{ys[0], ys[1], ys[2]};
  });
}

}  // namespace coppice
