#include "coppice/sparsity/state_file.h"

#include <mutex>

#include "coppice/engine/checked.h"
#include "coppice/engine/io/safetensors.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/registry.h"
#include "coppice/sparsity/activation/functions.h"

namespace coppice::sparsity {
namespace {

/// Holds arguments, and computes nothing.
class SparsifierState final : public nn::Implements<SparsifierState> {
 public:
  static constexpr std::string_view kType = "SparsifierState";
  explicit SparsifierState(const Arguments& a) : state_(a.map("state")) {}
  [[nodiscard]] Arguments arguments() const override { return {{"state", *state_}}; }

 protected:
  [[nodiscard]] Tensor forward(const Tensor&) const override {
    throw NotSupported("[SparsifierState] a state of a sparsifier is no layer");
  }

 private:
  nn::KeptArguments state_;
};

/// The type, and the functions that a file may name.
void know() {
  static std::once_flag once;
  std::call_once(once, [] {
    nn::register_module(SparsifierState::kType, [](const Arguments& a) { return std::make_shared<SparsifierState>(a); },
                        {.parametrizes = false, .takes_modules = false});
  });
  register_activation_functions();
}

}  // namespace

NamedTensors arguments_to_tensors(const Arguments& arguments) {
  know();
  return nn::model_to_tensors(SparsifierState({{"state", arguments}}));
}

Arguments arguments_from_tensors(const NamedTensors& tensors, const std::string& source, const Limits& limits) {
  know();
  const nn::ModulePtr module = nn::model_from_tensors(tensors, source, limits);
  const auto* state = dynamic_cast<const SparsifierState*>(module.get());
  if (state == nullptr)
    throw FormatError(cat("[load_arguments] ", quote_path(source), " holds a ", module->type_name(),
                          " and no state of a sparsifier"));
  return state->arguments().map("state").clone();
}

void save_arguments(const Arguments& arguments, const std::filesystem::path& path) {
  write_safetensors(path, arguments_to_tensors(arguments), {.checksums = true});
}

Arguments load_arguments(const std::filesystem::path& path, const ReadOptions& options) {
  return arguments_from_tensors(read_safetensors(path, options), path.string(), options.limits);
}

}  // namespace coppice::sparsity
