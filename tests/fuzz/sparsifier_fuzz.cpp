/// Any bytes as a state of a sparsifier or scheduler, and what stands in it as settings of groups; a text that begins
/// with a bracket as a list of groups. What is refused changes nothing, and so does a refused step; a state that is
/// taken comes back from its taker.

#include "coppice/engine/create.h"
#include "coppice/nn/masks/families.h"
#include "coppice/sparsity/data/data_norm_sparsifier.h"
#include "coppice/sparsity/sparsifier/config_file.h"
#include "coppice/sparsity/state_file.h"
#include "fuzz/fuzz_target.h"
#include "fuzz/mutate.h"
#include "hostile/build.h"
#include "hostile/states.h"

using namespace coppice;
using namespace coppice::sparsity;

namespace {

/// Runs `use`; false when it refused with one of the library's errors. Every other exception is a finding.
bool takes(const std::function<void()>& use) {
  try {
    use();
    return true;
  } catch (const Error& error) {
    const std::string_view said = error.what();
    fuzz::require(said.starts_with('[') || said.starts_with("at '") || said.starts_with("in '"),
                  "a message must open with operation, tensor or layer");
    return false;
  }
}

/// Whether two states say the same. Two lists of groups may be numbered otherwise, and NaN is not equal to itself.
bool same(const Arguments& a, const Arguments& b) { return a == b; }

void as_weights(const Arguments& state) {
  for (const auto& sparsifier : test::weight_sparsifiers())
    for (const bool strict : {true, false}) {
      sparsifier->prepare(test::state_model());
      const Arguments before = sparsifier->state_dict();
      if (!takes([&] { (void)sparsifier->load_state_dict(state, strict); })) {
        fuzz::require(same(sparsifier->state_dict(), before), "a refused state changed a sparsifier");
      } else {
        const Arguments loaded = sparsifier->state_dict();
        fuzz::require(takes([&] { (void)sparsifier->load_state_dict(loaded, true); }), "its own state was refused");
        fuzz::require(same(sparsifier->state_dict(), loaded), "a state differs after loading");
        if (!takes([&] { sparsifier->step(); }))
          fuzz::require(same(sparsifier->state_dict(), loaded), "a refused step changed a sparsifier");
        (void)to_string(*sparsifier);
      }
      (void)sparsifier->squash_mask();
    }
}

void as_groups(const SparsifierConfig& config) {
  for (const auto& sparsifier : test::weight_sparsifiers()) {
    const nn::ModulePtr model = test::state_model();
    if (!takes([&] { sparsifier->prepare(model, config); })) {
      fuzz::require(nn::masks_in(*model).empty() && sparsifier->groups().empty(), "refused groups left masks behind");
    } else if (takes([&] { sparsifier->step(); })) {
      (void)sparsifier->squash_mask();
    }
  }
}

/// The maps that stand where a state has groups, tensors, data or layers.
SparsifierConfig maps_in(const Arguments& state) {
  SparsifierConfig out;
  for (const char* part : {"groups", "state", "data", "layers"})
    if (const Argument* value = state.find(part))
      if (const auto* map = std::get_if<Arguments>(value))
        for (const auto& [name, element] : *map)
          if (const auto* settings = std::get_if<Arguments>(&element)) out.push_back(*settings);
  return out;
}

void as_data(const Arguments& state, const Limits& limits) {
  DataSparsifierState read;
  if (!fuzz::loads([&] { read = data_sparsifier_state(state, limits); })) return;
  fuzz::require(same(to_arguments(data_sparsifier_state(to_arguments(read))), to_arguments(read)),
                "the state of a data sparsifier differs after writing and reading");
  (void)takes([&] { test::use_data_state(state, limits); });
}

bool is_list(const std::uint8_t* data, std::size_t size) { return size != 0 && data[0] == '['; }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (is_list(data, size)) {
    SparsifierConfig config;
    if (fuzz::loads([&] { config = parse_sparsifier_config({reinterpret_cast<const char*>(data), size}, "input"); }))
      as_groups(config);
    return 0;
  }
  const auto& path = fuzz::file_of({data, size});
  ReadOptions options = fuzz::tight();
  Arguments state;
  if (!fuzz::loads([&] { state = load_arguments(path, options); })) {
    options.verify = false;  // behind a wrong checksum stand more rules
    if (!fuzz::loads([&] { state = load_arguments(path, options); })) return 0;
  }
  const auto first = fuzz::scratch("first.safetensors"), second = fuzz::scratch("second.safetensors");
  save_arguments(state, first);
  save_arguments(load_arguments(first), second);
  fuzz::require(test::slurp(first) == test::slurp(second), "the second save of a state differs from the first");

  as_weights(state);
  as_groups(maps_in(state));
  as_data(state, options.limits);
  (void)takes([&] { test::use_activation_state(state, options.limits); });
  (void)takes([&] { test::use_scheduler_state(state); });
  return 0;
}

#ifdef COPPICE_FUZZING
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  return is_list(data, size) ? fuzz::mutate_json(data, size, most, seed) : fuzz::mutate_model(data, size, most, seed);
}
#endif
