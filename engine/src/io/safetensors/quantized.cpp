#include "io/safetensors/quantized.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>
#include <sstream>

#include "coppice/engine/checked.h"
#include "coppice/engine/quantized_tensor.h"

namespace coppice {
namespace {

std::string note_of(const Tensor& q) {
  const QParams& p = *q.qparams();
  std::string note = cat(q.dtype(), " ", p.scheme());
  return p.per_channel() ? cat(note, " ", p.axis()) : note;
}

/// The integers as they lie in memory; two of quint4x2 are a byte.
Tensor bytes_of(const Tensor& q) {
  Shape shape = q.shape();
  if (q.dtype() == Dtype::quint4x2) {
    std::vector<std::int64_t> sizes(shape.begin(), shape.end());
    sizes.back() /= 2;
    shape = Shape(std::move(sizes));
  }
  return Tensor::over(q.storage(), q.storage_offset(), shape, stored_dtype(q.dtype()));
}

Tensor scales_of(const QParams& p) {
  return Tensor::from(p.scales(), Shape{static_cast<std::int64_t>(p.scales().size())});
}
Tensor zero_points_of(const QParams& p) {
  const Shape shape{static_cast<std::int64_t>(p.scales().size())};
  if (p.scheme() == QScheme::per_channel_affine_float_qparams) return Tensor::from(p.float_zero_points(), shape);
  return Tensor::from(p.zero_points(), shape);
}

struct Note {
  Dtype dtype = Dtype::qint8;
  QScheme scheme = QScheme::per_tensor_affine;
  std::int64_t axis = 0;
};

std::optional<Note> parsed(const std::string& text) {
  std::istringstream in(text);
  std::string dtype, scheme, axis, rest;
  in >> dtype >> scheme >> axis >> rest;
  const auto type = dtype_from_name(dtype);
  Note out;
  if (!type || !is_quantized(*type) || !rest.empty()) return std::nullopt;
  out.dtype = *type;
  bool known = false;
  for (const QScheme s :
       {QScheme::per_tensor_affine, QScheme::per_channel_affine, QScheme::per_channel_affine_float_qparams})
    if (scheme == name_of(s)) out.scheme = s, known = true;
  if (!known || is_per_channel(out.scheme) == axis.empty()) return std::nullopt;
  if (axis.empty()) return out;
  const auto [end, error] = std::from_chars(axis.data(), axis.data() + axis.size(), out.axis);
  if (error != std::errc() || end != axis.data() + axis.size() || out.axis < 0) return std::nullopt;
  return out;
}

const Tensor& member(const NamedTensors& tensors, const std::string& name, const Source& source) {
  const Tensor* found = tensors.find(name);
  if (found == nullptr) source.reject("the quantised tensor has no member ", quote(name));
  return *found;
}

/// The parameters that two members hold. @throws FormatError
QParamsPtr params_of(const Note& note, const Tensor& scale, const Tensor& zero, const std::string& name,
                     const Source& source) {
  const bool floats = note.scheme == QScheme::per_channel_affine_float_qparams;
  if (scale.dtype() != Dtype::f64 || scale.dim() != 1 || zero.shape() != scale.shape() ||
      zero.dtype() != (floats ? Dtype::f32 : Dtype::i64) || (!is_per_channel(note.scheme) && scale.numel() != 1))
    source.reject("the quantised tensor ", quote(name), " needs scales float64 [channels] and zero points ",
                  floats ? "float32" : "int64", " of the same shape; it has ", scale.dtype(), " ", scale.shape(),
                  " and ", zero.dtype(), " ", zero.shape());
  try {
    if (!is_per_channel(note.scheme)) return QParams::per_tensor(scale.item(), zero.item<std::int64_t>());
    if (floats) return QParams::per_channel_float(scale.to_vector<float>(), zero.to_vector<float>(), note.axis);
    return QParams::per_channel(scale.to_vector<double>(), zero.to_vector<std::int64_t>(), note.axis);
  } catch (const Error& e) {
    source.reject("the quantised tensor ", quote(name), ": ", e.what());
  }
}

Tensor joined(const Note& note, const Tensor& integers, const QParamsPtr& params, const std::string& name,
              const Source& source) {
  if (integers.dtype() != stored_dtype(note.dtype))
    source.reject("the quantised tensor ", quote(name), " of ", note.dtype, " is stored as ", integers.dtype());
  std::vector<std::int64_t> sizes(integers.shape().begin(), integers.shape().end());
  if (note.dtype == Dtype::quint4x2) {
    const auto last = sizes.empty() ? std::nullopt : checked_mul(static_cast<std::uint64_t>(sizes.back()), 2);
    if (!last) source.reject("the quantised tensor ", quote(name), " of quint4x2 has no axis");
    sizes.back() = static_cast<std::int64_t>(*last);
  }
  try {
    return Tensor::over(integers.storage(), integers.storage_offset(), Shape(std::move(sizes)), note.dtype, params);
  } catch (const Error& e) {
    source.reject("the quantised tensor ", quote(name), ": ", e.what());
  }
}

}  // namespace

bool any_quantized(const NamedTensors& tensors) {
  return std::ranges::any_of(tensors, [](const auto& entry) { return entry.second.is_quantized(); });
}

NamedTensors with_quantized_parts(const NamedTensors& tensors) {
  NamedTensors out;
  out.metadata() = tensors.metadata();
  for (const auto& [name, tensor] : tensors) {
    if (!tensor.is_quantized()) {
      out.add(name, tensor);
      continue;
    }
    out.add(name, bytes_of(tensor));
    out.add(cat(name, kScaleSuffix), scales_of(*tensor.qparams()));
    out.add(cat(name, kZeroPointSuffix), zero_points_of(*tensor.qparams()));
    out.metadata()[cat(kQuantizedKey, name)] = note_of(tensor);
  }
  return out;
}

void join_quantized(NamedTensors& tensors, const Source& source) {
  std::set<std::string, std::less<>> parts, keys;
  std::vector<std::pair<std::string, Tensor>> whole;
  for (const auto& [key, text] : tensors.metadata()) {
    if (!key.starts_with(kQuantizedKey)) continue;
    const std::string name = key.substr(kQuantizedKey.size());
    const auto note = parsed(text);
    if (!note) source.reject("metadata ", quote(key), " says ", quote(text), ", which is no quantised type");
    const std::string scale = cat(name, kScaleSuffix), zero = cat(name, kZeroPointSuffix);
    const QParamsPtr params =
        params_of(*note, member(tensors, scale, source), member(tensors, zero, source), name, source);
    whole.emplace_back(name, joined(*note, member(tensors, name, source), params, name, source));
    parts.insert({scale, zero});
    keys.insert(key);
  }
  if (whole.empty()) return;
  for (auto& [name, tensor] : whole) tensors.set(name, std::move(tensor));
  NamedTensors out;
  for (const auto& [name, tensor] : tensors)
    if (!parts.contains(name)) out.add(name, tensor);
  out.metadata() = std::move(tensors.metadata());
  for (const std::string& key : keys) out.metadata().erase(key);
  out.skipped() = std::move(tensors.skipped());
  out.compared() = tensors.compared();
  tensors = std::move(out);
}

}  // namespace coppice
