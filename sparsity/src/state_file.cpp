#include "coppice/sparsity/state_file.h"

#include <mutex>

#include "coppice/engine/checked.h"
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

void save_arguments(const Arguments& arguments, const std::filesystem::path& path) {
  know();
  nn::save_model(SparsifierState({{"state", arguments}}), path);
}

Arguments load_arguments(const std::filesystem::path& path, const ReadOptions& options) {
  know();
  const nn::ModulePtr module = nn::load_model(path, options);
  const auto* state = dynamic_cast<const SparsifierState*>(module.get());
  if (state == nullptr)
    throw FormatError(cat("[load_arguments] ", quote_path(path.string()), " holds a ", module->type_name(),
                          " and no state of a sparsifier"));
  return state->arguments().map("state").clone();
}

}  // namespace coppice::sparsity
