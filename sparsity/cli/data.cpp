#include "data.h"

#include <libdeflate.h>

#include <charconv>
#include <memory>

#include "coppice/engine/checked.h"
#include "coppice/engine/io/budget.h"
#include "coppice/engine/io/npy.h"
#include "coppice/nn/quant/layers/quantize.h"
#include "tensors.h"

namespace coppice::cli {
namespace {

constexpr std::int64_t kPixels = 64;
constexpr std::size_t kCsvBytes = std::size_t{1} << 20;  // the table is about 260 KB

std::string inflated(std::string_view packed) {
  const std::unique_ptr<libdeflate_decompressor, void (*)(libdeflate_decompressor*)> work(
      libdeflate_alloc_decompressor(), &libdeflate_free_decompressor);
  if (work == nullptr) throw std::bad_alloc();
  std::string out(kCsvBytes, '\0');
  std::size_t bytes = 0;
  if (libdeflate_gzip_decompress(work.get(), packed.data(), packed.size(), out.data(), out.size(), &bytes) !=
      LIBDEFLATE_SUCCESS)
    throw FormatError("[digits] the built-in table is damaged");
  out.resize(bytes);
  return out;
}

/// The first layer that has tensors of its own, by type; a scale alone is none.
std::string_view first_layer(const nn::Module& model) {
  for (const auto& [path, module] : model.named_modules())
    if (module->type_name() != nn::quant::Quantize::kType &&
        (!module->own_parameters().empty() || !module->own_buffers().empty()))
      return module->type_name();
  return {};
}

}  // namespace

sparsity::Dataset digits(Split split) {
  const std::string csv = inflated(embedded::digits_csv_gz());
  std::vector<float> x;
  std::vector<std::int64_t> y;
  const char* at = csv.data();
  const char* end = at + csv.size();
  for (std::int64_t row = 0; at < end; ++row) {
    const bool wanted = (row % 5 == 0) == (split == Split::test);
    for (std::int64_t column = 0; column <= kPixels; ++column) {
      int value = 0;
      const auto [next, error] = std::from_chars(at, end, value);
      if (error != std::errc()) throw FormatError(cat("[digits] the built-in table is damaged at row ", row));
      at = next + 1;  // the comma or the newline
      if (wanted && column < kPixels) x.push_back(static_cast<float>(value) / 16);
      if (wanted && column == kPixels) y.push_back(value);
    }
    while (at < end && (*at == '\n' || *at == '\r')) ++at;
  }
  const auto n = static_cast<std::int64_t>(y.size());
  return sparsity::make_dataset(Tensor::from(x, Shape{n, kPixels}), Tensor::from(y, Shape{n}));
}

Shape digits_shape(const nn::Module& model, std::int64_t n) {
  const std::string_view first = first_layer(model);
  if (first.find("Conv") != std::string_view::npos) return {n, 1, 8, 8};
  if (first == "LSTM") return {n, 8, 8};
  return {n, kPixels};
}

Shape shape_option(const std::vector<std::int64_t>& sizes) {
  const std::vector<std::uint64_t> unsigned_sizes(sizes.begin(), sizes.end());
  if (!checked_volume(unsigned_sizes, sizeof(float)))
    throw UsageError("--shape must have less than 2^63 bytes of float32");
  return Shape(sizes);
}

Dtype input_dtype(const nn::Module& model) {
  for (const auto& [path, module] : model.named_modules())
    for (const auto* own : {&module->own_parameters(), &module->own_buffers()})
      for (const auto& [name, tensor] : *own)
        if (tensor.defined() && is_floating(tensor.dtype())) return tensor.dtype();
  return Dtype::f32;
}

std::vector<std::string> data_files(const std::string& spec) {
  if (spec == "digits") return {};
  const std::size_t comma = spec.find(',');
  if (comma == std::string::npos || spec.find(',', comma + 1) != std::string::npos)
    throw UsageError(cat("--data takes \"digits\" or \"X.npy,Y.npy\"; got '", spec, "'"));
  return {spec.substr(0, comma), spec.substr(comma + 1)};
}

sparsity::Dataset load_data(const App& app, const std::string& spec, Split split, const nn::Module& model) {
  if (spec == "digits") {
    sparsity::Dataset data = digits(split);
    data.x = data.x.reshape(digits_shape(model, data.size())).to(input_dtype(model));
    return data;
  }
  const std::vector<std::string> files = data_files(spec);
  app.files.insert(app.files.end(), files.begin(), files.end());
  const Tensor x = read_npy(files[0], app.read), y = read_npy(files[1], app.read);
  // Their header alone says how many they are, and a layer may make numbers of each place in them.
  if (x.dim() > 0 && x.size(0) > 0 && x.numel() == 0)
    throw ShapeError(cat("[dataset] the samples of ", quote_path(files[0]), " must hold values; got ", x.shape()));
  if (y.dtype() != Dtype::i64)
    MemoryBudget(Source{"dataset", files[1]}, app.read.limits, file_size(files[1]))
        .take(checked_mul(static_cast<std::uint64_t>(y.numel()), sizeof(std::int64_t)).value_or(UINT64_MAX),
              "classes as int64");
  sparsity::Dataset data = sparsity::make_dataset(x, y);
  if (const Dtype dtype = input_dtype(model); dtype != Dtype::f32) data.x = x.to(dtype);
  return data;
}

}  // namespace coppice::cli
