// States of activation sparsifiers as arguments, which files hold.
#include "../mask_arguments.h"
#include "coppice/engine/checked.h"
#include "coppice/sparsity/activation/activation_sparsifier_state.h"

namespace coppice::sparsity {
namespace {

using State = ActivationSparsifierState;

constexpr std::int64_t kFormat = 1;

template <class Function>
void set_function(Arguments& to, const char* role, const std::optional<Function>& function, const std::string& whose,
                  UnnamedFunctions unnamed) {
  if (!function) return;
  if (function->name().empty() && unnamed == UnnamedFunctions::refuse)
    throw StateError(cat("[to_arguments] ", role, " of ", whose,
                         " has no name, which a file would need: register it, and give its name"));
  to.set(role, function->name());  // a text, so that whoever reads the file may know the function otherwise
}

Arguments written(const ActivationOptions& options, const std::string& whose, UnnamedFunctions unnamed) {
  Arguments out;
  set_function(out, "aggregate_fn", options.aggregate_fn, whose, unnamed);
  set_function(out, "reduce_fn", options.reduce_fn, whose, unnamed);
  set_function(out, "mask_fn", options.mask_fn, whose, unnamed);
  if (options.features) out.set("features", *options.features);
  if (options.feature_dim) out.set("feature_dim", *options.feature_dim);
  out.set("sparse_config", options.sparse_config);
  return out;
}

/// Functions of a state: registered ones, and those that somebody gives.
class Functions {
 public:
  explicit Functions(const FunctionResolver& resolve) : resolve_(resolve) {}

  /// @param wanted  whose function it is
  template <class Function>
  std::optional<Function> read(const Arguments& a, const char* role, MissingFunction wanted) const {
    if (!a.has(role)) return std::nullopt;
    wanted.role = role;
    wanted.name = a.text(role);
    if (!wanted.name.empty()) {
      register_activation_functions();
      if (is_function(wanted.name)) return Function(wanted.name);
    }
    const auto given = resolve_ ? resolve_(wanted) : std::nullopt;
    if (!given)
      throw KeyError(cat(role, " of ", wanted.of_defaults ? std::string("the defaults") : quote(wanted.layer),
                         wanted.name.empty() ? std::string(" was left open")
                                             : cat(" is ", quote(wanted.name), ", which nobody registered")));
    const auto* function = std::get_if<Function>(&*given);
    if (function == nullptr) throw TypeError(cat("what was given is no ", role, " of ", quote(wanted.layer)));
    return *function;
  }

 private:
  const FunctionResolver& resolve_;
};

ActivationOptions options_from(const Arguments& a, const MissingFunction& whose, const Functions& functions) {
  ActivationOptions out;
  out.aggregate_fn = functions.read<AggregateFunction>(a, "aggregate_fn", whose);
  out.reduce_fn = functions.read<ReduceFunction>(a, "reduce_fn", whose);
  out.mask_fn = functions.read<MaskFunction>(a, "mask_fn", whose);
  if (a.has("features")) out.features = a.integers("features");
  if (a.has("feature_dim")) out.feature_dim = a.integer("feature_dim");
  out.sparse_config = a.map("sparse_config").clone();
  a.reject_unread("the options of a layer");
  return out;
}

/// Items under "0", "1", …
template <class Item, class Write>
Arguments numbered(const std::vector<Item>& items, Write write) {
  Arguments out;
  for (std::size_t i = 0; i < items.size(); ++i) out.set(cat(i), write(items[i]));
  return out;
}

template <class Item, class Read>
std::vector<Item> items_from(const Arguments& from, Read read) {
  std::vector<Item> out;
  for (std::size_t i = 0; i < from.size(); ++i) out.push_back(read(from, cat(i)));
  from.reject_unread("a list");
  return out;
}

HookState hook_state_from(const std::string& word) {
  for (const HookState state : {HookState::none, HookState::aggregate, HookState::sparsify})
    if (to_string(state) == word) return state;
  throw ValueError(cat("a hook_state is ", quote(word)));
}

State read(const Arguments& a, const Limits& limits, const Functions& functions) {
  if (const std::int64_t format = a.integer("format"); format != kFormat)
    throw ValueError(cat("format version ", kFormat, " is read; got ", format));
  State out;
  out.defaults = options_from(a.map("defaults"), {true, "", "", ""}, functions);
  MemoryBudget budget = budget_of("activation_sparsifier_state", a, limits);
  const auto mask_at = [&](const Arguments& from, const std::string& key) {
    return mask_from_arguments(from.map(key), budget);
  };
  const auto tensor_at = [](const Arguments& from, const std::string& key) { return from.tensor(key); };
  const auto tensors_at = [&](const Arguments& from, const std::string& key) {
    return items_from<Tensor>(from.map(key), tensor_at);
  };
  const Arguments& layers = a.map("layers");
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const Arguments& layer = layers.map(cat(i));
    const std::string name = layer.text("name");
    if (out.data_groups.contains(name)) throw ValueError(cat(quote(name), " stands there twice"));
    State::Mask mask;
    if (layer.has("mask")) mask = mask_at(layer, "mask");
    if (layer.has("masks")) mask = items_from<CooTensor>(layer.map("masks"), mask_at);
    State::Group group{options_from(layer.map("options"), {false, name, "", ""}, functions),
                       hook_state_from(layer.text("hook_state")), std::nullopt};
    if (layer.has("data")) group.data = items_from<TensorList>(layer.map("data"), tensors_at);
    layer.reject_unread("a layer");
    out.state.set(name, std::move(mask));
    out.data_groups.set(name, std::move(group));
  }
  layers.reject_unread("the layers");
  a.reject_unread("the state of an activation sparsifier");
  return out;
}

}  // namespace

Arguments to_arguments(const ActivationSparsifierState& state, UnnamedFunctions unnamed) {
  Arguments layers;
  for (const auto& [name, group] : state.data_groups) {
    Arguments layer;
    layer.set("name", name);
    layer.set("options", written(group.options, quote(name), unnamed));
    layer.set("hook_state", to_string(group.hook_state));
    const State::Mask* mask = state.state.find(name);
    if (mask == nullptr) throw KeyError(cat("[to_arguments] ", quote(name), " has settings and no entry for a mask"));
    if (const auto* one = std::get_if<CooTensor>(mask)) layer.set("mask", mask_to_arguments(*one));
    if (const auto* each = std::get_if<std::vector<CooTensor>>(mask))
      layer.set("masks", numbered(*each, mask_to_arguments));
    if (group.data) {
      const auto tensors = [](const TensorList& list) { return numbered(list, [](const Tensor& t) { return t; }); };
      layer.set("data", numbered(*group.data, tensors));
    }
    layers.set(cat(layers.size()), std::move(layer));
  }
  return {{"format", kFormat},
          {"defaults", written(state.defaults, "the defaults", unnamed)},
          {"layers", std::move(layers)}};
}

ActivationSparsifierState activation_sparsifier_state(const Arguments& arguments, const Limits& limits,
                                                      const FunctionResolver& resolve) {
  const Arguments own = arguments.clone();  // remembers for itself what was read
  return from_file("[activation_sparsifier_state] ", [&] { return read(own, limits, Functions(resolve)); });
}

}  // namespace coppice::sparsity
