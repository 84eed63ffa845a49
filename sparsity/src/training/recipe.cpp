#include "recipe.h"

#include <cstring>
#include <span>
#include <type_traits>
#include <variant>

#include "coppice/engine/io/json.h"
#include "coppice/nn/state_dict.h"

namespace coppice::sparsity {
namespace {

/// Multiplies and mixes eight bytes at a time; finds accidents and mix-ups, not forgers.
class Fingerprint {
 public:
  void add(std::span<const std::byte> bytes) {
    std::size_t i = 0;
    for (; i + 8 <= bytes.size(); i += 8) {
      std::uint64_t word;
      std::memcpy(&word, bytes.data() + i, 8);
      mix(word);
    }
    std::uint64_t rest = 0;
    std::memcpy(&rest, bytes.data() + i, bytes.size() - i);
    mix(rest);
    mix(bytes.size());
  }
  void add(std::string_view text) { add(std::as_bytes(std::span(text))); }
  void add(const Tensor& t) {
    add(cat(t.dtype(), t.shape()));
    add(std::span(t.bytes(), t.nbytes()));
  }
  void add(const NamedTensors& tensors) {
    for (const auto& [name, tensor] : tensors) {
      add(name);
      add(tensor);
    }
  }
  [[nodiscard]] std::string text() const { return cat(state_); }

 private:
  void mix(std::uint64_t word) {
    state_ = (state_ ^ word) * 0x9E3779B97F4A7C15u;
    state_ ^= state_ >> 32;
  }
  std::uint64_t state_ = 0xCBF29CE484222325u;
};

template <class T>
std::string fingerprint(const T& what) {
  Fingerprint f;
  f.add(what);
  return f.text();
}

void add(Fingerprint& f, const nn::Arguments& arguments);

/// The kind and the value of an argument.
void add(Fingerprint& f, const nn::Argument& value) {
  f.add(cat(value.index()));
  std::visit(
      [&f]<class T>(const T& v) {
        if constexpr (std::is_same_v<T, std::monostate>) {
          f.add(std::string_view());
        } else if constexpr (std::is_same_v<T, std::vector<std::int64_t>> || std::is_same_v<T, std::vector<double>>) {
          std::string out;
          for (const auto n : v) out += cat(n, ',');
          f.add(out);
        } else if constexpr (std::is_same_v<T, nn::Arguments>) {
          f.add(cat(v.size()));
          add(f, v);
        } else if constexpr (std::is_same_v<T, NamedFunction>) {
          f.add(v.name);
        } else if constexpr (std::is_same_v<T, Tensor>) {
          f.add(v);
        } else {
          f.add(cat(v));
        }
      },
      static_cast<const ArgumentKinds&>(value));
}

void add(Fingerprint& f, const nn::Arguments& arguments) {
  for (const auto& [name, value] : arguments) {
    f.add(name);
    add(f, value);
  }
}

/// What the tensors do not show: types, settings and names of the modules, which tensors are one, which are frozen.
std::string fingerprint_of_modules(const nn::Module& model) {
  Fingerprint f;
  const auto count = [&](std::size_t n) { f.add(cat(n)); };  // so that no list passes for the next one
  for (const auto& [path, module] : model.named_modules()) {
    f.add(path);
    f.add(module->type_name());
    add(f, module->arguments());
    count(module->derived().size());
    for (const auto& [name, derived] : module->derived()) f.add(name);
    count(module->children().size());
    for (const auto& [name, child] : module->children()) f.add(name);
  }
  for (const auto& [name, parameter] : model.named_parameters()) {  // each tensor once, under its first name
    f.add(name);
    count(parameter.requires_grad() ? 1 : 0);
  }
  return f.text();
}

std::string fingerprint_of(const SparsifierConfig& groups) {
  Fingerprint f;
  for (const Arguments& group : groups) {
    f.add(cat(group.size()));
    add(f, group);
  }
  return f.text();
}

const char* name_of(FinetuneOptions::Optimizer optimizer) {
  using O = FinetuneOptions::Optimizer;
  return optimizer == O::sgd ? "sgd" : optimizer == O::adamw ? "adamw" : "adam";
}

}  // namespace

std::string recipe_of(const nn::Module& model, const Dataset& data, const FinetuneOptions& o) {
  JsonWriter out;
  out.open_object();
  out.key("model").value(fingerprint(nn::all_tensors(model)));
  out.key("modules").value(fingerprint_of_modules(model));
  out.key("data").value(fingerprint(data.x) + fingerprint(data.y));
  out.key("epochs").value(o.epochs).key("batch").value(o.batch).key("lr").value(o.lr);
  out.key("optimizer").value(name_of(o.optimizer)).key("momentum").value(o.momentum);
  out.key("weight_decay").value(o.weight_decay).key("seed").value(o.seed);
  out.key("validation").value(o.validation).key("patience").value(o.patience);
  if (out.key("sparsity"); o.sparsity)
    out.value(*o.sparsity);
  else
    out.value(nullptr);
  out.key("ramp").value(o.ramp).key("updates_per_epoch").value(o.updates_per_epoch);
  if (o.ties == TieRule::pytorch) out.key("ties").value("pytorch");
  if (o.block) out.key("block").value(to_string(*o.block));
  if (o.pattern) out.key("pattern").value(to_string(*o.pattern));
  if (!o.groups.empty()) out.key("groups").value(fingerprint_of(o.groups));
  if (o.curve != Curve::cubic) out.key("curve").value(to_string(o.curve));
  return out.close_object().text();
}

}  // namespace coppice::sparsity
