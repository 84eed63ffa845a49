#include <algorithm>

#include "io/torch/pickle.h"

namespace coppice {
namespace {

using G = PickleGlobal;

}  // namespace

void PickleReader::reduce() {
  const PickleValue& args = value(pop());
  const PickleRef function = pop();
  if (args.kind != PickleKind::tuple) reject("REDUCE takes a tuple of arguments; got ", word_of(args.kind));
  push(call(function, items(args)));
}

/// NEWOBJ and NEWOBJ_EX: class, arguments, and in the latter a dict of more of them.
void PickleReader::new_object(bool with_keywords) {
  const std::optional<PickleRef> keywords = with_keywords ? std::optional(pop()) : std::nullopt;
  const PickleValue& args = value(pop());
  const PickleRef type = pop();
  if (args.kind != PickleKind::tuple) reject("NEWOBJ takes a tuple of arguments; got ", word_of(args.kind));
  PickleValue made = value(type).global == G::ordered_dict ? call(type, items(args)) : make_object(type, items(args));
  if (keywords) give_state(made, *keywords);
  push(std::move(made));
}

/// INST: the class stands in the opcode, its arguments behind a MARK.
void PickleReader::instance() {
  const std::string_view module = line("module of a global"), name = line("name of a global");
  std::vector<PickleRef> args = pop_to_mark();
  const PickleRef type = make(global_of(module, name));
  charge(1);
  push(call(type, args));
}

/// OBJ: the class is the first behind the MARK.
void PickleReader::old_object() {
  std::vector<PickleRef> args = pop_to_mark();
  if (args.empty()) reject("OBJ needs a class behind its MARK; there is nothing");
  const PickleRef type = args.front();
  args.erase(args.begin());
  push(call(type, args));
}

PickleValue PickleReader::call(PickleRef called, const std::vector<PickleRef>& args) {
  const PickleValue& function = value(called);
  if (function.kind == PickleKind::object) return make_object(called, args);
  if (function.kind != PickleKind::global) reject("REDUCE calls a known global; got ", word_of(function.kind));
  const auto need = [&](std::size_t least, std::size_t most) {
    if (args.size() < least || args.size() > most)
      reject(function.text, " takes ", least, "..", most, " arguments; got ", args.size());
  };
  const auto unsupported = [](std::string_view what) {
    return PickleValue{.kind = PickleKind::unsupported, .text = what};
  };
  switch (function.global) {
    case G::unknown: return make_object(called, args);
    case G::rebuilds: return rebuild_object(called, args);
    case G::tagged: need(2, 2); return value(args[0]);
    case G::ordered_dict: return make_dict(args);
    case G::rebuild_tensor: need(4, 4); return make_tensor(function.global, args);
    case G::rebuild_tensor_v2: need(6, 7); return make_tensor(function.global, args);
    case G::rebuild_tensor_v3: need(7, 8); return make_tensor(function.global, args);
    case G::rebuild_parameter: need(2, 3); return make_parameter(function.global, args);
    case G::rebuild_parameter_with_state: need(2, 4); return make_parameter(function.global, args);
    case G::rebuild_from_type: need(4, 4); return make_of_type(args);
    case G::rebuild_other_device: need(4, 4); return make_of_other_device(args);
    case G::rebuild_quantized: return unsupported("a quantized tensor");
    case G::rebuild_sparse: return unsupported("a sparse tensor");
    case G::rebuild_meta: return unsupported("a meta tensor, which has no values");
    case G::rebuild_nested: return unsupported("a nested tensor");
    case G::size: {
      need(1, 1);
      const PickleValue& sizes = value(args[0]);
      if (sizes.kind != PickleKind::tuple && sizes.kind != PickleKind::list)
        reject("torch.Size takes a sequence; got ", word_of(sizes.kind));
      return PickleValue{.kind = PickleKind::tuple, .index = sizes.index};
    }
    case G::set:
      need(0, 2);
      if (!args.empty() && value(args[0]).kind == PickleKind::list) return value(args[0]);
      return PickleValue{.kind = PickleKind::opaque};
    case G::device:
    case G::layout: need(0, 2); return PickleValue{.kind = PickleKind::opaque};
    case G::encode:
      need(1, 2);
      if (value(args[0]).kind != PickleKind::text && value(args[0]).kind != PickleKind::opaque)
        reject("_codecs.encode takes a text; got ", word_of(value(args[0]).kind));
      return PickleValue{.kind = PickleKind::opaque};
    default: reject(quote(function.text), " cannot be called");
  }
}

/// (class, …), and where the class of Python that it derives from is told, (class, base, what that is made of).
PickleValue PickleReader::rebuild_object(PickleRef called, const std::vector<PickleRef>& args) {
  if (args.empty() || value(args[0]).kind != PickleKind::global) return make_object(called, args);
  const std::size_t names = value(called).text == "_reconstructor" ? 2 : 1;
  return make_object(args[0], {args.begin() + static_cast<std::ptrdiff_t>(std::min(names, args.size())), args.end()});
}

/// OrderedDict(), or as Python 2 wrote it OrderedDict([[key, value], …]).
PickleValue PickleReader::make_dict(const std::vector<PickleRef>& args) {
  std::vector<PicklePair> pairs;
  if (args.size() > 1) reject("OrderedDict takes one argument at most; got ", args.size());
  if (args.size() == 1) {
    const PickleValue& list = value(args[0]);
    if (list.kind != PickleKind::list) reject("OrderedDict takes a list of pairs; got ", word_of(list.kind));
    add_pairs_of(pairs, items(list));
  }
  pairs_.push_back(std::move(pairs));
  return PickleValue{.kind = PickleKind::dict, .index = static_cast<std::uint32_t>(pairs_.size() - 1)};
}

/// Whether a list holds pairs of a text and something, and so is what a dict's subclass is made of.
bool PickleReader::are_pairs(const std::vector<PickleRef>& list) {
  const auto is_pair = [&](PickleRef ref) {
    const PickleValue& pair = value(ref);
    const bool two = (pair.kind == PickleKind::list || pair.kind == PickleKind::tuple) && items(pair).size() == 2;
    return two && value(items(pair)[0]).kind == PickleKind::text;
  };
  if (list.empty() || !is_pair(list[0])) return false;
  charge(list.size());  // one list may be looked at for any number of objects
  return std::ranges::all_of(list, is_pair);
}

void PickleReader::add_pairs_of(std::vector<PicklePair>& to, const std::vector<PickleRef>& list) {
  charge(list.size());  // one list may be copied into any number of dicts
  for (const PickleRef ref : list) {
    const PickleValue& pair = value(ref);
    const bool two = (pair.kind == PickleKind::list || pair.kind == PickleKind::tuple) && items(pair).size() == 2;
    if (!two) reject("OrderedDict takes pairs; got ", word_of(pair.kind));
    add_pairs(to, items(pair));
  }
}

/// What a call that is not made would have given.
PickleValue PickleReader::make_object(PickleRef type, std::vector<PickleRef> args) {
  const PickleKind kind = value(type).kind;
  if (kind != PickleKind::global && kind != PickleKind::object) reject("an object needs a class; got ", word_of(kind));
  charge(3 + args.size());  // it is larger than other values, and one tuple may be the arguments of many
  PickleObject& object = objects_.emplace_back();
  object.type = type;
  if (is_variable(object) && !args.empty() && value(args[0]).kind == PickleKind::tensor) return value(args[0]);
  const bool list = args.size() == 1 && value(args[0]).kind == PickleKind::list;
  if (list && are_pairs(items(value(args[0]))))
    add_pairs_of(object.pairs, items(value(args[0])));
  else
    object.made_of = std::move(args);
  return PickleValue{.kind = PickleKind::object, .index = static_cast<std::uint32_t>(objects_.size() - 1)};
}

/// The state of an OrderedDict is its `_metadata`, which no tensor needs; that of an object is kept.
void PickleReader::build() {
  const PickleRef state = pop(), target = top();
  const PickleKind kind = value(target).kind, given = value(state).kind;
  if (kind == PickleKind::object) return give_state(values_[target], state);
  // Whether it wants a gradient, and hooks: a parameter of before PyTorch 0.4.
  if (kind == PickleKind::tensor && given == PickleKind::tuple) return;
  if (kind != PickleKind::dict) reject("BUILD is for an OrderedDict; there is ", word_of(kind));
  if (given != PickleKind::dict) reject("the state of an OrderedDict must be a dict; it is ", word_of(given));
}

/// A dict of attributes, or such a dict and one of slots, or whatever a class made of itself.
void PickleReader::give_state(PickleValue& object, PickleRef state) {
  if (object.kind != PickleKind::object) return;
  PickleObject& to = objects_[object.index];
  const PickleValue& given = value(state);
  if (is_old_tensor(to, given)) {
    object = make_tensor(G::rebuild_tensor, items(given));
    return;
  }
  if (is_variable(to) && given.kind == PickleKind::tuple && !items(given).empty() &&
      value(items(given)[0]).kind == PickleKind::tensor) {
    object = value(items(given)[0]);
    return;
  }
  const auto attributes = [&](const PickleValue& dict) {
    charge(pairs(dict).size());  // one dict may be the state of any number of objects
    to.attributes.insert(to.attributes.end(), pairs(dict).begin(), pairs(dict).end());
  };
  const auto is_part = [&](PickleRef ref) {
    return value(ref).kind == PickleKind::none || value(ref).kind == PickleKind::dict;
  };
  if (given.kind == PickleKind::dict) return attributes(given);
  if (given.kind != PickleKind::tuple || items(given).size() != 2 || !is_part(items(given)[0]) ||
      !is_part(items(given)[1]))
    return to.made_of.push_back(state);
  for (const PickleRef part : items(given))
    if (value(part).kind == PickleKind::dict) attributes(value(part));
}

/// What was around a tensor before PyTorch 0.4.
bool PickleReader::is_variable(const PickleObject& object) const {
  const PickleValue& type = value(object.type);
  return type.kind == PickleKind::global && (type.text == "Variable" || type.text == "Parameter") &&
         modules_[type.index].starts_with("torch.");
}

/// torch.FloatTensor() with the state (storage, offset, sizes, strides): tensors before PyTorch 0.1.12.
bool PickleReader::is_old_tensor(const PickleObject& object, const PickleValue& state) const {
  const PickleValue& type = value(object.type);
  if (type.kind != PickleKind::global || state.kind != PickleKind::tuple || items(state).size() != 4) return false;
  const std::string_view module = modules_[type.index];
  return (module == "torch" || module == "torch.cuda") && type.text.ends_with("Tensor") &&
         value(items(state)[0]).kind == PickleKind::storage;
}

std::string PickleReader::describe(PickleRef ref) const {
  // A type may be an object again, which something unknown gave: the name at the bottom tells most.
  for (int depth = 0; depth < 64; ++depth) {
    const PickleValue& v = value(ref);
    if (v.kind == PickleKind::global) return cat(modules_[v.index], ".", v.text);
    if (v.kind == PickleKind::unsupported)
      return v.text.starts_with("a ") ? std::string(v.text) : cat("a tensor of ", v.text);
    if (v.kind != PickleKind::object) return word_of(v.kind);
    ref = objects_[v.index].type;
  }
  return word_of(PickleKind::object);
}

}  // namespace coppice
