/// Hostile checkpoints of training runs, as `finetune` reads them. Those that lie do so under a right checksum.

#include <stdlib.h>

#include <functional>

#include "coppice/engine/create.h"
#include "coppice/engine/error.h"
#include "coppice/engine/io/safetensors.h"
#include "hostile/corpus.h"
#include "hostile/small_run.h"

namespace coppice::test {
namespace {

constexpr const char* kKey = "coppice.finetune";

/// Makes checkpoints of changed tensors and metadata, in a scratch folder.
class Forge {
 public:
  Forge() {
    std::string made = (std::filesystem::temp_directory_path() / "coppice-forge-XXXXXX").string();
    if (::mkdtemp(made.data()) == nullptr) throw std::runtime_error("no scratch folder");
    dir_ = made;
    spill(path(), small_checkpoint(2));
    good_ = read_safetensors(path(), {.map = false});
  }
  ~Forge() {
    std::error_code ignored;
    std::filesystem::remove_all(dir_, ignored);
  }
  Forge(const Forge&) = delete;
  Forge& operator=(const Forge&) = delete;

  /// `from` in the metadata of the run becomes `to`.
  std::string with_words(const std::string& from, const std::string& to) const {
    NamedTensors bent = good_;
    replace(bent, from, to);
    return bytes(bent);
  }
  /// With another tensor of this name; undefined: without it.
  std::string with_tensor(const std::string& name, const Tensor& tensor) const {
    NamedTensors bent = good_;
    if (tensor.defined())
      bent.contains(name) ? bent.set(name, tensor) : bent.add(name, tensor);
    else if (!bent.erase(name))
      throw std::logic_error("a checkpoint has no " + name);
    return bytes(bent);
  }

 private:
  [[nodiscard]] std::filesystem::path path() const { return dir_ / "run.safetensors"; }
  static void replace(NamedTensors& tensors, const std::string& from, const std::string& to) {
    std::string& text = tensors.metadata().at(kKey);
    const std::size_t at = text.find(from);
    if (at == text.npos) throw std::logic_error("a checkpoint does not say " + from);
    text.replace(at, from.size(), to);
  }
  [[nodiscard]] std::string bytes(const NamedTensors& tensors) const {
    write_safetensors(path(), tensors, {.checksums = true});
    return slurp(path());
  }

  std::filesystem::path dir_;
  NamedTensors good_;
};

}  // namespace

std::vector<HostileFile> checkpoint_cases() {
  const Forge forge;
  const std::string good = small_checkpoint(2);
  std::string flipped = good;
  flipped[flipped.size() - 1] ^= 1;
  const auto step = [](std::int64_t n) { return Tensor::from(std::vector<std::int64_t>{n}, {}); };
  const std::string deep(1000, '[');
  std::string many;
  for (int i = 0; i < 100'000; ++i) many += cat("\"", i, "\":0,");
  std::vector<HostileFile> out;
  const auto add = [&](const std::string& what, const std::string& bytes, const std::string& category,
                       const std::string& fragment) {
    out.push_back({{what, bytes, category, fragment}, ".checkpoint"});
  };
  add("a checkpoint in the middle of its run", good, "accepted", "");
  add("a checkpoint of a run that was done", small_checkpoint(3), "accepted", "");
  add("an empty checkpoint", "", "FormatError", "needs 8 bytes");
  add("a checkpoint cut short", good.substr(0, good.size() - 1), "FormatError", "the file is too short");
  add("a checkpoint with a flipped bit", flipped, "FormatError", "damaged");
  add("a checkpoint without a run", st("{}"), "FormatError", "is no checkpoint");
  add("a checkpoint from the future", forge.with_words("\"format\":1", "\"format\":99"), "FormatError",
      "format version 1 is read; \"format\" is '99'");
  add("a checkpoint whose run is no JSON", forge.with_words("{\"format\"", "{format"), "FormatError", "must be JSON");
  add("a checkpoint nested 1,000 deep", forge.with_words("\"recipe\":", "\"recipe\":" + deep), "FormatError",
      "'recipe' must not be a list");
  add("a checkpoint with 100,000 settings", forge.with_words("\"recipe\":{", "\"recipe\":{" + many), "FormatError",
      "must have at most 4096 bytes");
  add("a checkpoint with a setting twice", forge.with_words("\"batch\":4", "\"batch\":4,\"batch\":4"), "FormatError",
      "key 'recipe.batch' stands twice");
  add("a checkpoint of another run", forge.with_words("\"batch\":4", "\"batch\":5"), "FormatError",
      "belongs to another run: batch was 5 and is 4");
  add("a checkpoint without recipe", forge.with_words("\"recipe\":{", "\"recipe\":7,\"x\":{"), "FormatError",
      "must have an object \"recipe\"; it is '7'");
  add("a checkpoint without a step", forge.with_tensor("step", {}), "FormatError", "step");
  add("a checkpoint beyond its end", forge.with_tensor("step", step(1'000'000)), "FormatError", "step 1000000 after 2");
  add("a checkpoint at a negative step", forge.with_tensor("step", step(-1)), "FormatError", "step -1 after 2");
  add("a checkpoint of more epochs than the run has",
      forge.with_tensor("report", coppice::zeros({9, 7}).to(Dtype::f64)), "FormatError", "does not fit 3 epochs");
  add("a checkpoint with a mask of another shape", forge.with_tensor("model.0.weight_mask", ones({2, 3})),
      "FormatError", "shape of '0.weight_mask'");
  add("a checkpoint that lacks a state of the optimiser", forge.with_tensor("optimizer.0.exp_avg", {}), "FormatError",
      "the state of parameter 0 is not complete");
  add("a checkpoint with a state of no parameter", forge.with_tensor("optimizer.99.exp_avg", ones({1})), "FormatError",
      "belong to no parameter");
  add("a checkpoint whose best epoch holds a tensor more", forge.with_tensor("best.extra", ones({1})), "FormatError",
      "the best epoch holds 7 tensors, the model 6");
  add("a checkpoint whose best epoch is of another type", forge.with_tensor("best.2.bias", ones({2}).to(Dtype::f64)),
      "FormatError", "the best epoch has no '2.bias' of float32 and shape (2,)");
  add("a checkpoint of 2^63 - 1 steps of the optimiser", forge.with_tensor("optimizer.0.step", step(INT64_MAX)),
      "FormatError", "'0.step' must be one int64 in 0..2^53; it is 9223372036854775807");
  add("a checkpoint whose random state is none", forge.with_tensor("random.order", ones({2})), "FormatError", "state");
  return out;
}

}  // namespace coppice::test
