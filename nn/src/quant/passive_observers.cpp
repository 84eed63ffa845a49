#include "coppice/nn/quant/passive_observers.h"

#include "coppice/engine/create.h"
#include "quant/words.h"

namespace coppice::nn::quant {
namespace {

Dtype dtype_from(const Arguments& a, std::string_view fallback) { return dtype_of_word(a.text("dtype", fallback)); }
std::string word(Dtype dtype) { return std::string(name_of(dtype)); }

}  // namespace

CalculatedQParams PassiveObserver::calculate_qparams() const {
  throw StateError(cat("[", type_name(), "] has no scale and zero point: it does not look at what it sees"));
}

PlaceholderObserver::PlaceholderObserver(Dtype dtype, bool is_dynamic) : dtype_(dtype), is_dynamic_(is_dynamic) {}
PlaceholderObserver::PlaceholderObserver(const Arguments& a)
    : PlaceholderObserver(dtype_from(a, "float32"), a.boolean("is_dynamic", false)) {}
Arguments PlaceholderObserver::arguments() const { return {{"dtype", word(dtype_)}, {"is_dynamic", is_dynamic_}}; }

NoopObserver::NoopObserver(const Arguments& a) : NoopObserver(dtype_from(a, "float16")) {}
Arguments NoopObserver::arguments() const { return {{"dtype", word(dtype_)}}; }

RecordingObserver::RecordingObserver(const Arguments& a) : RecordingObserver(dtype_from(a, "quint8")) {}
Arguments RecordingObserver::arguments() const { return {{"dtype", word(dtype_)}}; }
Tensor RecordingObserver::forward(const Tensor& x) const {
  seen_.push_back(x.detach().clone());
  return x;
}

FixedQParamsObserver::FixedQParamsObserver(double scale, std::int64_t zero_point, Dtype dtype, std::int64_t quant_min,
                                           std::int64_t quant_max)
    : dtype_(dtype), limits_{quant_min, quant_max} {
  QParams::per_tensor(scale, zero_point)->check(kType, Shape{}, dtype);
  if (quant_min > 0 || quant_max < 0 || quant_min >= quant_max)
    throw ValueError(cat("[", kType, "] quant_min..quant_max must hold 0 and more than one number; got ", quant_min,
                         "..", quant_max));
  register_buffer("scale", Tensor::of({scale}));
  register_buffer("zero_point", Tensor::from(std::vector<std::int64_t>{zero_point}, Shape{1}));
}

FixedQParamsObserver::FixedQParamsObserver(const Arguments& a)
    : FixedQParamsObserver(a.number("scale"), a.integer("zero_point"), dtype_from(a, "quint8"),
                           a.integer("quant_min", 0), a.integer("quant_max", 255)) {}

Arguments FixedQParamsObserver::range_0_to_1() { return {{"scale", 1.0 / 256}, {"zero_point", std::int64_t{0}}}; }
Arguments FixedQParamsObserver::range_neg1_to_1() { return {{"scale", 2.0 / 256}, {"zero_point", std::int64_t{128}}}; }

Arguments FixedQParamsObserver::arguments() const {
  return {{"scale", tensor("scale").item()},
          {"zero_point", tensor("zero_point").item<std::int64_t>()},
          {"dtype", word(dtype_)},
          {"quant_min", limits_.min},
          {"quant_max", limits_.max}};
}

CalculatedQParams FixedQParamsObserver::calculate_qparams() const {
  return {tensor("scale").clone(), tensor("zero_point").clone()};
}

}  // namespace coppice::nn::quant
