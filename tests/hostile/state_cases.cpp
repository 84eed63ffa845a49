/// Hostile states of sparsifiers and schedulers, under right checksums.

#include <stdlib.h>

#include <filesystem>
#include <stdexcept>

#include "coppice/engine/create.h"
#include "coppice/engine/io/safetensors.h"
#include "hostile/cases.h"
#include "hostile/states.h"

namespace coppice::test {
namespace {

const Arguments& valid(const std::string& name) {
  static const auto all = valid_states();
  for (const auto& [kind, state] : all)
    if (kind == name) return state;
  throw std::logic_error("no state of " + name);
}

/// A copy of `from` in which what stands at the end of the path is `value`.
Arguments with(const Arguments& from, std::initializer_list<const char*> path, const Argument& value) {
  Arguments out = from.clone();
  const char* first = *path.begin();
  if (path.size() == 1) {
    out.set(first, value);
    return out;
  }
  std::vector<const char*> rest(path.begin() + 1, path.end());
  const Arguments& inner = from.map(first);
  Arguments changed = rest.size() == 1   ? with(inner, {rest[0]}, value)
                      : rest.size() == 2 ? with(inner, {rest[0], rest[1]}, value)
                                         : with(inner, {rest[0], rest[1], rest[2]}, value);
  out.set(first, std::move(changed));
  return out;
}

std::string bent(const std::string& state, std::initializer_list<const char*> path, const Argument& value) {
  return state_bytes(with(valid(state), path, value));
}

/// The file of a state in whose description `from` became `to`.
std::string with_words(const std::string& state, const std::string& from, const std::string& to) {
  std::string folder = (std::filesystem::temp_directory_path() / "coppice-state-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) throw std::runtime_error("no scratch folder");
  const std::filesystem::path path = std::filesystem::path(folder) / "state.safetensors";
  spill(path, state_bytes(valid(state)));
  NamedTensors tensors = read_safetensors(path, {.map = false});
  std::string& text = tensors.metadata().at("coppice.model");
  const std::size_t at = text.find(from);
  if (at == text.npos) throw std::logic_error("the state does not say " + from);
  text.replace(at, from.size(), to);
  write_safetensors(path, tensors, {.checksums = true});
  std::string out = slurp(path);
  std::filesystem::remove_all(folder);
  return out;
}

Arguments mask_of_bits(std::int64_t bytes, int value, const std::vector<std::int64_t>& shape, const char* dtype) {
  return {{"shape", shape}, {"dtype", std::string(dtype)}, {"bits", full({bytes}, value, Dtype::u8)}};
}

using Sizes = std::vector<std::int64_t>;

void add_weights(std::vector<Hostile>& out) {
  const std::string kind = "WeightNormSparsifier";
  const auto add = [&](const char* what, std::initializer_list<const char*> path, const Argument& value,
                       const char* category, const char* fragment) {
    out.push_back({what, bent(kind, path, value), category, fragment});
  };
  add("a mask of another shape", {"state", "0.weight", "mask"}, ones({8, 9}, Dtype::boolean), "ValueError", "(8, 9)");
  add("a mask of a wider type", {"state", "0.weight", "mask"}, ones({8, 8}, Dtype::f64), "ValueError", "float64");
  add("a mask that is a number", {"state", "0.weight", "mask"}, std::int64_t{1}, "TypeError", "mask");
  add("a state that is a number", {"state", "0.weight"}, std::int64_t{1}, "TypeError", "0.weight");
  add("a state without a group", {"state", "2.weight"}, Arguments(), "ValueError", "2.weight");
  add("a group of a tensor that is not there", {"groups", "1", "tensor_fqn"}, "7.weight", "ValueError", "1.weight");
  add("two groups for one tensor", {"groups", "1", "tensor_fqn"}, "0.weight", "ValueError", "two groups");
  add("a group without a name", {"groups", "1"}, Arguments(), "KeyError", "tensor_fqn");
  add("a level that is a text", {"groups", "0", "sparsity_level"}, "all", "TypeError", "sparsity_level");
  add("a block of nothing", {"groups", "0", "sparse_block_shape"}, Sizes{0, 4}, "ValueError", "0x4");
  add("a block of one side", {"groups", "0", "sparse_block_shape"}, Sizes{4}, "ValueError", "sparse_block_shape");
  add("a block of 2^80 entries", {"groups", "0", "sparse_block_shape"},
      Sizes{std::int64_t{1} << 40, std::int64_t{1} << 40}, "ValueError", "too many elements");
  add("more zeros than the block has", {"groups", "0", "zeros_per_block"}, std::int64_t{5}, "ValueError", "0..4");
  out.push_back({"blocks with 2^50 cells outside the tensor",
                 state_bytes(with(with(valid(kind), {"groups", "0", "sparse_block_shape"},
                                       Sizes{std::int64_t{1} << 25, std::int64_t{1} << 25}),
                                  {"groups", "0", "zeros_per_block"}, std::int64_t{1})),
                 "LimitError", "too many cells"});
  add("a key that no state has", {"more"}, true, "KeyError", "more");
}

void add_data(std::vector<Hostile>& out) {
  const auto add = [&](const char* what, std::initializer_list<const char*> path, const Argument& value,
                       const char* category, const char* fragment) {
    out.push_back({what, bent("DataNormSparsifier", path, value), category, fragment});
  };
  add("a mask of 2^50 entries in four bytes", {"data", "a", "mask"},
      mask_of_bits(4, 0, {std::int64_t{1} << 25, std::int64_t{1} << 25}, "int8"), "FormatError", "unpack_bits");
  add("a mask whose entries are counted beyond 2^64", {"data", "a", "mask"},
      mask_of_bits(4, 0, {std::int64_t{1} << 40, std::int64_t{1} << 40}, "int8"), "FormatError", "");
  add("a mask of 16 axes, whose coordinates are a thousand times its bits", {"data", "a", "mask"},
      mask_of_bits(1 << 21, 255, Sizes{1 << 24, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, "int64"), "LimitError",
      "Limits::extra_bytes");
  add("a mask of zeros that is 64 times its bits", {"data", "a", "mask"},
      mask_of_bits(40 << 20, 0, {40, 1 << 23}, "int64"), "LimitError", "Limits::extra_bytes");
  add("bits that are no bytes", {"data", "a", "mask"},
      Arguments{{"shape", Sizes{5, 6}}, {"dtype", std::string("int8")}, {"bits", coppice::zeros({4}, Dtype::f32)}},
      "FormatError", "bits");
  add("a mask of another shape than the datum", {"data", "a", "mask"}, mask_of_bits(4, 0, {5, 5}, "int8"), "ValueError",
      "(5, 5)");
  add("a mask of 7 entries for 30", {"data", "a", "mask"}, mask_of_bits(1, 0, {7}, "int8"), "ValueError", "(7,)");
  add("a datum called as a path", {"data", "a.b"}, valid("DataNormSparsifier").map("data").map("a"), "KeyError", "a.b");
  add("a parametrization that is no function", {"data", "a", "config", "parametrization"}, "x.y", "TypeError",
      "must be a function");
  add("a level that is missing", {"data", "a", "config"}, Arguments(), "KeyError", "sparse_block_shape");
  add("a block of a datum without a side", {"data", "a", "config", "sparse_block_shape"}, Sizes{0, 1}, "ValueError",
      "at least 1");
  add("a block of a datum with 2^80 cells", {"data", "a", "config", "sparse_block_shape"},
      Sizes{std::int64_t{1} << 40, std::int64_t{1} << 40}, "ValueError", "too many cells");
  add("a datum of three axes", {"data", "a", "original"}, coppice::zeros({2, 3, 5}), "ValueError", "two axes");
  add("another norm", {"settings", "norm"}, "L3", "FormatError", "L3");
  add("a format of the future", {"format"}, std::int64_t{2}, "FormatError", "format version 1 is read");
}

void add_activations(std::vector<Hostile>& out) {
  const std::string kind = "ActivationSparsifier";
  const auto add = [&](const char* what, std::initializer_list<const char*> path, const Argument& value,
                       const char* category, const char* fragment) {
    out.push_back({what, bent(kind, path, value), category, fragment});
  };
  out.push_back({"a function that nobody registered", with_words(kind, "coppice.magnitude", "coppice.system"),
                 "FormatError", "coppice.system"});
  out.push_back({"a function of another kind", with_words(kind, "coppice.mean_dim0", "coppice.magnitude"),
                 "FormatError", "coppice.magnitude"});
  add("a layer that the model has not", {"layers", "0", "name"}, "7", "ValueError", "'7'");
  add("a layer twice", {"layers", "1", "name"}, "0", "FormatError", "twice");
  add("a hook that does something else", {"layers", "0", "hook_state"}, "all", "FormatError", "all");
  add("a negative feature", {"layers", "1", "options", "features"}, Sizes{0, -1}, "IndexError", "-1");
  add("a feature beyond its axis", {"layers", "1", "options", "features"}, Sizes{0, 1 << 30}, "IndexError", "");
  add("an axis beyond the input", {"layers", "1", "options", "feature_dim"}, INT64_MIN, "IndexError", "");
  add("three parts of two features", {"layers", "1", "options", "features"}, Sizes{0, 1, 2}, "ValueError", "features");
  add("a part of what was collected that holds nothing", {"layers", "0", "data", "0"}, Arguments(), "ValueError",
      "of 0 tensors");
  add("a setting that the function has not", {"layers", "0", "options", "sparse_config"}, Arguments{{"k", true}},
      "TypeError", "'k'");
}

void add_schedulers(std::vector<Hostile>& out) {
  for (const char* name : {"CubicSL", "StepSLScheduler"}) {
    const std::string kind = name;
    const auto add = [&](const char* what, const char* key, const Argument& value, const char* category) {
      out.push_back({what + (" of " + kind), bent(kind, {key}, value), category, key});
    };
    add("a step count of none", "_step_count", std::int64_t{0}, "ValueError");
    add("the last step count", "_step_count", INT64_MAX, "ValueError");
    add("the last epoch", "last_epoch", INT64_MAX, "ValueError");
    add("the first epoch", "last_epoch", INT64_MIN, "ValueError");
    add("a key that it has not", "lr_lambda", 0.5, "KeyError");
  }
  out.push_back({"levels of another number of groups", bent("CubicSL", {"base_sl"}, std::vector<double>{0.5}),
                 "ValueError", "1 groups; the scheduler has 2"});
  out.push_back(
      {"a ramp of no length", bent("CubicSL", {"delta_t"}, std::vector<double>{0, 0}), "ValueError", "delta_t"});
  out.push_back(
      {"steps of no epochs", bent("StepSLScheduler", {"step_size"}, std::int64_t{0}), "ValueError", "step_size"});
}

}  // namespace

std::vector<Hostile> state_cases() {
  std::vector<Hostile> out;
  for (const auto& [name, state] : valid_states()) out.push_back({name, state_bytes(state), "accepted", ""});
  add_weights(out);
  add_data(out);
  add_activations(out);
  add_schedulers(out);
  return out;
}

}  // namespace coppice::test
