#include <filesystem>
#include <optional>

#include "../dtypes.h"
#include "../tensors.h"
#include "coppice/engine/io/load.h"
#include "coppice/nn/io/model_file.h"

namespace coppice::cli {
namespace {

struct Options {
  std::string input, output;
  std::optional<Dtype> dtype;
  bool force = false, checksums = false;
};

std::string format_of(const std::string& path) {
  const std::string extension = std::filesystem::path(path).extension().string();
  for (const char* known : {".safetensors", ".pt", ".pth", ".bin", ".npz", ".npy"})
    if (extension == known) return extension;
  throw UsageError(cat("--output must end in .safetensors, .pt, .pth, .bin, .npz or .npy; got '", path, "'"));
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
  note_unknown_types(app, input);
  // A checkpoint that carries checksums keeps them; a model becomes a checkpoint for other programs.
  options.checksums = options.checksums || (input.model == nullptr && input.tensors.compared() > 0);
  NamedTensors tensors = input.model == nullptr ? input.tensors : plain_tensors(app, o.input, input.model);
  if (o.dtype) tensors = converted(app, tensors, *o.dtype);
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
                                {"unknown_types", input.unknown_types},
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
      "Writes the tensors of a file in another format, by the extension of the output: .pt, .pth and .bin of PyTorch,\n"
      ".safetensors, .npz, or .npy for one tensor. Names, types, shapes and bits stay. Of a model file PyTorch's "
      "state\n"
      "dict is written: masks as X_orig and X_mask, packed layers unpacked. Whatever is no tensor is left out and "
      "named.",
      "  coppice convert weights.pt -o weights.safetensors\n"
      "  coppice convert pruned.safetensors -o pruned.pt\n"
      "  coppice convert model.safetensors.index.json -o model.npz --dtype f32");
  sub->add_option("IN", o->input,
                  "File to read: .pt, .pth, .bin, .safetensors, .index.json of shards, .npz, .npy or model")
      ->required();
  sub->add_option("-o,--output", o->output, "File to write")->required();
  add_dtype(sub, o->dtype);
  sub->add_flag("--checksums", o->checksums,
                "Write a CRC-32 of every tensor into the metadata of a .safetensors, which readers here compare");
  sub->add_flag("--force", o->force, "Replace an existing output");
  sub->callback([&app, o] { app.action = [&app, o] { return run(app, *o); }; });
}

}  // namespace coppice::cli
