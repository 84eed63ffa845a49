#include <cmath>
#include <filesystem>

#include "../tensors.h"
#include "coppice/engine/autograd.h"
#include "coppice/engine/io/load.h"
#include "coppice/nn/io/model_file.h"

namespace coppice::cli {
namespace {

struct Options {
  std::string input, output, dtype;
  bool force = false, checksums = false;
};

const std::vector<std::string> kFloating{"float32", "float64", "float16", "bfloat16"};

std::string format_of(const std::string& path) {
  const std::string extension = std::filesystem::path(path).extension().string();
  for (const char* known : {".safetensors", ".pt", ".pth", ".npz", ".npy"})
    if (extension == known) return extension;
  throw UsageError(cat("--output must end in .safetensors, .pt, .pth, .npz or .npy; got '", path, "'"));
}

std::int64_t count_finite(const Tensor& tensor) {
  return dispatch(tensor.dtype(), [&]<class T>() {
    std::int64_t count = 0;
    for (const T value : tensor.data<T>()) count += std::isfinite(convert<double>(value)) ? 1 : 0;
    return count;
  });
}

/// Floating tensors as `dtype`; a note says where finite numbers became infinite.
NamedTensors converted(const App& app, const NamedTensors& tensors, Dtype dtype) {
  NoGrad guard;
  NamedTensors out;
  for (const auto& [name, tensor] : tensors) {
    if (!is_floating(tensor.dtype()) || tensor.dtype() == dtype) {
      out.add(name, tensor);
      continue;
    }
    const Tensor changed = tensor.to(dtype);
    const std::int64_t lost = count_finite(tensor) - count_finite(changed);
    if (lost > 0)
      note(app, cat("note: ", grouped(lost), " numbers of ", printable(name), " are too large for ", to_string(dtype),
                    " and became infinite"));
    out.add(name, changed);
  }
  out.metadata() = tensors.metadata();
  return out;
}

/// What the format has no place for, found before anything is written.
void check_fits(const NamedTensors& tensors, const std::string& format) {
  if (format == ".npy" && tensors.size() != 1)
    throw NotSupported(cat("a .npy file holds one tensor; there are ", tensors.size(), ": write .npz"));
  if (format != ".npz" && format != ".npy") return;
  for (const auto& [name, tensor] : tensors)
    if (tensor.dtype() == Dtype::bf16)
      throw NotSupported(cat("NumPy has no bfloat16, the type of '", printable(name),
                             "'; --dtype float32 holds every bfloat16 number exactly"));
}

int run(const App& app, const Options& o) {
  interrupt_at_once();
  check_output(o.output, files_behind(app, o.input), o.force);
  const std::string format = format_of(o.output);
  SafetensorsWriteOptions options = write_options(o.output, o.checksums);
  const Loaded input = load_any(app, o.input);
  // A checkpoint that carries checksums keeps them; a model becomes a checkpoint for other programs.
  options.checksums = options.checksums || (input.model == nullptr && input.tensors.compared() > 0);
  NamedTensors tensors = input.model == nullptr ? input.tensors : plain_tensors(app, o.input, input.model);
  if (!o.dtype.empty()) tensors = converted(app, tensors, *dtype_from_name(o.dtype));
  check_fits(tensors, format);

  std::vector<std::string> left_out = input.tensors.skipped();
  for (const auto& [key, text] : input.tensors.metadata())
    if (key != "format" && (input.model != nullptr || format != ".safetensors"))
      left_out.push_back(cat("metadata ", key));
  if (input.model != nullptr || is_pytorch_name(o.input)) tensors.metadata().emplace("format", "pt");
  write_output(o.output, [&] { save_tensors(o.output, tensors, options); });

  const auto bytes = static_cast<std::int64_t>(file_size(o.output));
  if (app.json) {
    print("coppice.convert/1", {{"input", o.input},
                                {"output", o.output},
                                {"model", input.model != nullptr},
                                {"tensors", tensors.size()},
                                {"tensor_bytes", tensors.nbytes()},
                                {"file_bytes", bytes},
                                {"left_out", left_out}});
    return kDone;
  }
  print(cat(o.output, ": ", tensors.size(), " tensors, ", grouped(bytes), " bytes"));
  for (const std::string& what : left_out) note(app, cat("left out: ", printable(what)));
  return kDone;
}

}  // namespace

void add_convert(App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* sub = app.command(
      "convert",
      "Writes the tensors of a file in another format, by the extension of the output: .pt and .pth of PyTorch,\n"
      ".safetensors, .npz, or .npy for one tensor. Names, types, shapes and bits stay. Of a model file PyTorch's "
      "state\n"
      "dict is written: masks as X_orig and X_mask, packed layers unpacked. Whatever is no tensor is left out and "
      "named.",
      "  coppice convert weights.pt -o weights.safetensors\n"
      "  coppice convert pruned.safetensors -o pruned.pt\n"
      "  coppice convert model.safetensors.index.json -o model.npz --dtype float32");
  sub->add_option("IN", o->input, "File to read: .pt, .pth, .safetensors, .safetensors.index.json, .npz, .npy or model")
      ->required();
  sub->add_option("-o,--output", o->output, "File to write")->required();
  sub->add_option("--dtype", o->dtype, "Convert floating tensors to this type (default: each keeps its own)")
      ->check(CLI::IsMember(kFloating));
  sub->add_flag("--checksums", o->checksums,
                "Write a CRC-32 of every tensor into the metadata of a .safetensors, which readers here compare");
  sub->add_flag("--force", o->force, "Replace an existing output");
  sub->callback([&app, o] { app.action = [&app, o] { return run(app, *o); }; });
}

}  // namespace coppice::cli
