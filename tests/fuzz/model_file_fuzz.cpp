/// Any bytes as a model file. What loads must be usable, and saving it must be a fixed point.

#include "coppice/engine/create.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/packed/linear.h"
#include "coppice/nn/state_dict.h"
#include "fuzz/fuzz_target.h"
#include "fuzz/mutate.h"
#include "hostile/build.h"
#include "nn/carrier.h"

using namespace coppice;

namespace {

/// Texts show every argument. Products with a packed weight walk its offsets and columns: they must lie inside.
void use(nn::Module& model) {
  (void)model.describe();
  for (const auto& [name, module] : model.named_modules()) {
    const auto* packed = dynamic_cast<const nn::PackedLinear*>(module);
    if (packed == nullptr) continue;
    const std::int64_t in = packed->weight().cols(), out = packed->weight().rows();
    if (in > 1000 || out > 1000) continue;
    (void)(*packed)(ones({1, in}));
    (void)(*packed)(ones({3, in}));
    fuzz::require(packed->unpacked().shape() == Shape{out, in}, "an unpacked weight has another shape");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  test::know_carrier();  // a type with arguments of every kind
  const auto& path = fuzz::file_of({data, size});
  nn::ModulePtr model;
  ReadOptions options = fuzz::tight();
  if (!fuzz::loads([&] { model = nn::load_model(path, options); })) {
    options.verify = false;  // behind a wrong checksum stand more rules
    if (!fuzz::loads([&] { model = nn::load_model(path, options); })) return 0;
  }
  use(*model);
  const auto first = fuzz::scratch("first.safetensors"), second = fuzz::scratch("second.safetensors");
  const nn::SaveOptions whole{.masked_values = true};  // state dicts show what masks remove
  nn::save_model(*model, first, {}, whole);
  const nn::ModulePtr again = nn::load_model(first);
  fuzz::require_same(nn::state_dict(*model), nn::state_dict(*again));
  nn::save_model(*again, second, {}, whole);
  fuzz::require(test::slurp(first) == test::slurp(second), "the second save of a model differs from the first");
  return 0;
}

#ifdef COPPICE_FUZZING
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  return fuzz::mutate_model(data, size, most, seed);
}
#endif
