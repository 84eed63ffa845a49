#include "coppice/nn/quant/layers/linear.h"

#include <cstring>

#include "coppice/engine/create.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/linalg.h"
#include "coppice/engine/quantized_tensor.h"
#include "coppice/nn/init.h"
#include "coppice/nn/slots.h"
#include "quant/layers/checked_buffers.h"
#include "quant/layers/prepared.h"

namespace coppice::nn::quant {
namespace {

constexpr const char* kPair = "_packed_params";  // also the child in it

/// A weight of zeros for a file to write over.
Tensor blank(std::int64_t out, std::int64_t in) {
  if (in < 0 || out < 0)
    throw ValueError(cat("[quantized.Linear] in_features and out_features must be at least 0; got ", in, " and ", out));
  Tensor w = Tensor::empty({out, in}, Dtype::qint8, QParams::per_tensor(1, 0));
  if (!SkipInit::active()) std::memset(w.mutable_bytes(), 0, w.nbytes());
  return w;
}

Tensor blank_bias(std::int64_t out) { return SkipInit::active() ? Tensor::empty({out}) : zeros({out}); }

}  // namespace

struct QuantizedLinearBase::Cache {
  Prepared<QuantizedLinearWeight> prepared;
};

QuantizedLinearBase::~QuantizedLinearBase() = default;

/// A copy prepares its own weight.
QuantizedLinearBase::QuantizedLinearBase(const QuantizedLinearBase& other)
    : UnaryModule(other), engine_(other.engine_), cache_(std::make_shared<Cache>()) {}

QuantizedLinearBase::QuantizedLinearBase(const Tensor& weight, const Tensor& bias, QEngine engine)
    : engine_(engine), cache_(std::make_shared<Cache>()) {
  const auto pair = std::make_shared<LinearPackedParams>();
  pair->register_buffer("0", weight.detach());
  if (bias.defined()) pair->register_buffer("1", bias.detach());
  const auto outer = std::make_shared<LinearPackedParams>();
  outer->add_module(kPair, pair);
  add_module(kPair, outer);
}

QuantizedLinearBase::QuantizedLinearBase(const Arguments& a)
    : QuantizedLinearBase(blank(a.integer("out_features"), a.integer("in_features")),
                          a.boolean("bias", true) ? blank_bias(a.integer("out_features")) : Tensor(),
                          qengine_from_name(a.text("engine", "x86"))) {}

Tensor QuantizedLinearBase::weight() const { return child(kPair)->child(kPair)->tensor("0"); }
Tensor QuantizedLinearBase::bias() const { return child(kPair)->child(kPair)->find_tensor("1"); }

void QuantizedLinearBase::set_weight_bias(const Tensor& weight, const Tensor& bias) {
  QuantizedLinearWeight::check(weight, bias);
  put(weight, bias);
}

void QuantizedLinearBase::put(const Tensor& weight, const Tensor& bias) {
  Module& pair = *child(kPair)->child(kPair);
  pair.register_buffer("0", weight.detach());
  if (bias.defined())
    pair.register_buffer("1", bias.detach());
  else if (pair.has("1"))
    pair.slots().erase("1");
}

QuantizedLinearWeight QuantizedLinearBase::prepared() const {
  const auto [w, b] = weight_bias();
  return cache_->prepared.of(w, b, [&w = w, &b = b] { return QuantizedLinearWeight(w, b); });
}

Arguments QuantizedLinearBase::linear_arguments() const {
  const Tensor w = weight();
  return {{"in_features", w.size(1)},
          {"out_features", w.size(0)},
          {"bias", bias().defined()},
          {"engine", to_string(engine_)}};
}

QuantizedLinear::QuantizedLinear(const Tensor& weight, const Tensor& bias, const QuantizedOutput& out, QEngine engine)
    : Implements(weight, bias, engine) {
  QuantizedLinearWeight::check(weight, bias);
  QParams::per_tensor(out.scale, out.zero_point)->check(kType, Shape{}, Dtype::quint8);
  register_buffer("scale", Tensor::of(out.scale));
  register_buffer("zero_point", Tensor::from(std::vector<std::int64_t>{out.zero_point}, Shape{}));
}

QuantizedLinear::QuantizedLinear(const Arguments& a) : Implements(a) {
  register_buffer("scale", Tensor::of(1));
  register_buffer("zero_point", zeros(Shape{}, Dtype::i64));
}

Tensor QuantizedLinear::forward(const Tensor& x) const {
  return prepared().linear(x, {scale(), zero_point(), with_relu()}, engine());
}

DynamicLinear::DynamicLinear(const Tensor& weight, const Tensor& bias, QEngine engine)
    : Implements(weight, bias, engine) {
  if (weight.dtype() != Dtype::f16) QuantizedLinearWeight::check(weight, bias);
}

DynamicLinear::DynamicLinear(const Arguments& a) : Implements(a) {
  const std::string dtype = a.text("dtype", "qint8");
  if (dtype != "qint8" && dtype != "float16")
    throw ValueError(cat("[quantized.dynamic.Linear] dtype must be qint8 or float16; got '", dtype, "'"));
  if (dtype == "float16") put(Tensor::empty(weight().shape(), Dtype::f16), bias());
}

Arguments DynamicLinear::arguments() const {
  Arguments a = linear_arguments();
  a.set("dtype", std::string(name_of(weight().dtype())));
  return a;
}

Tensor DynamicLinear::forward(const Tensor& x) const {
  if (weight().dtype() != Dtype::f16) return prepared().linear_dynamic(x, engine(), with_relu());
  const Tensor y = linear(x, weight().to(Dtype::f32), bias());
  return with_relu() ? relu(y) : y;
}

void QuantizedLinear::check_adoptable(const NamedTensors& own) const {
  check_qparams_buffers(type_name(), own, Shape{}, Dtype::quint8);
  check_names(type_name(), own, {"scale", "zero_point"});
}

void QuantizedLinear::adopt(const NamedTensors& own) {
  check_adoptable(own);
  show_buffers(*this, own);
}

LinearPackedParams::LinearPackedParams(const Arguments& a) {
  if (!a.has("out_features")) return;
  const auto out = a.integer("out_features"), in = a.integer("in_features");
  const std::string dtype = a.text("dtype", "qint8");
  if (dtype != "qint8" && dtype != "float16")
    throw ValueError(cat("[", kType, "] dtype must be qint8 or float16; got '", dtype, "'"));
  register_buffer("0", dtype == "qint8" ? blank(out, in) : Tensor::empty({out, in}, Dtype::f16));
  if (a.boolean("bias", true)) register_buffer("1", blank_bias(out));
}

Arguments LinearPackedParams::arguments() const {
  const Tensor weight = find_tensor("0");
  if (!weight.defined()) return {};
  return {{"in_features", weight.size(1)},
          {"out_features", weight.size(0)},
          {"bias", find_tensor("1").defined()},
          {"dtype", std::string(name_of(weight.dtype()))}};
}

void LinearPackedParams::check_adoptable(const NamedTensors& own) const {
  check_names(kType, own, {"0", "1"});
  for (const char* name : {"0", "1"}) {
    const Tensor now = find_tensor(name);
    if (now.defined()) (void)needed(kType, own, name, now.dtype(), now.shape());
    if (!now.defined() && own.contains(name)) throw FormatError(cat("[", kType, "] has no tensor '", name, "'"));
  }
  if (const Tensor* weight = own.find("0"); weight != nullptr && weight->is_quantized()) try {
      const Tensor* bias = own.find("1");
      QuantizedLinearWeight::check(*weight, bias != nullptr ? *bias : Tensor());
    } catch (const ValueError& e) {
      throw FormatError(e.what());
    }
}

void LinearPackedParams::adopt(const NamedTensors& own) {
  check_adoptable(own);
  show_buffers(*this, own);
}

TensorList LinearPackedParams::forward(const TensorList&) const {
  throw NotSupported("[quantized.LinearPackedParams] holds a weight and is not called");
}

}  // namespace coppice::nn::quant
