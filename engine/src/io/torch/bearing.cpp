#include "io/torch/bearing.h"

#include <array>
#include <bit>
#include <charconv>
#include <cmath>

#include "io/torch/python_text.h"

namespace coppice {
namespace {

// The walk over paths is recursive: beyond this the stack would be what limits it.
constexpr std::uint64_t kDeepest = 1000;

using Name = PickleEdge::Name;

PickleEdge indexed(PickleRef to, std::size_t i, bool inner = false) {
  return {.to = to, .name = Name::index, .label = static_cast<std::uint32_t>(i), .inner = inner};
}

PickleEdge keyed(const PicklePair& pair, bool inner = false) {
  return {.to = pair.second, .name = Name::key, .label = pair.first, .inner = inner};
}

/// As Python writes it: 0.5, 2.0, 1e+20.
std::string digits_of(double value) {
  const double size = std::abs(value);
  const bool fixed = size == 0 || (size >= 1e-4 && size < 1e16);
  std::array<char, 64> digits{};
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), value,
                                          fixed ? std::chars_format::fixed : std::chars_format::scientific);
  const std::string out(digits.data(), error == std::errc() ? end : digits.data());
  return fixed && out.find('.') == out.npos ? out + ".0" : out;
}

}  // namespace

Bearing::Bearing(const PickleReader& pickle, const Source& source, const Limits& limits, PickleRef root)
    : pickle_(pickle), source_(source), limits_(limits), state_(pickle.size(), 0) {
  visit(root);
}

void Bearing::check_depth(std::uint64_t depth) const {
  if (depth > limits_.nesting) source_.exceeded("nesting", "depth of containers", limits_.nesting, depth);
  if (depth > kDeepest)
    throw LimitError(cat(source_.prefix(), "depth of containers must be at most ", kDeepest,
                         ", whatever Limits::nesting says; got ", depth));
}

bool Bearing::is_plain(PickleRef ref) const {
  const PickleKind kind = pickle_.value(ref).kind;
  return kind == PickleKind::list || kind == PickleKind::tuple || kind == PickleKind::dict;
}

/// Without recursion: what leads to no tensor may be as deep as it likes where it goes through objects.
void Bearing::visit(PickleRef root) {
  std::vector<Frame> open;
  enter(open, root);
  while (!open.empty()) {
    Frame& frame = open.back();
    if (frame.next < edges(frame.ref)) {
      enter(open, edge(frame.ref, frame.next++).to);
      continue;
    }
    std::uint8_t& state = state_[frame.ref];
    state &= static_cast<std::uint8_t>(~kOpen);
    const bool bears = (state & kBears) != 0;
    open.pop_back();
    if (bears && !open.empty()) state_[open.back().ref] |= kBears;
  }
}

void Bearing::enter(std::vector<Frame>& open, PickleRef child) {
  std::uint8_t& state = state_[child];
  if ((state & kOpen) != 0) {
    for (std::size_t i = open.size(); i-- > 0 && is_plain(open[i].ref);)  // objects may lead back to what holds them
      if (open[i].ref == child) source_.reject(quote(path_of(open)), " contains itself");
  } else if (state == 0) {
    const bool plain = is_plain(child);
    const std::uint64_t depth = plain ? (open.empty() ? 0 : open.back().plain) + 1 : 0;
    if (plain) check_depth(depth);
    const PickleKind kind = pickle_.value(child).kind;
    const bool bears = kind == PickleKind::tensor || kind == PickleKind::unsupported;
    state = kSeen | kOpen | (bears ? kBears : 0);
    open.push_back({child, 0, depth});
  } else if ((state & kBears) != 0) {
    state_[open.back().ref] |= kBears;  // there is one: only the root has none above it
  }
}

std::size_t Bearing::edges(PickleRef ref) const {
  const PickleValue& v = pickle_.value(ref);
  switch (v.kind) {
    case PickleKind::list:
    case PickleKind::tuple: return pickle_.items(v).size();
    case PickleKind::dict: return pickle_.pairs(v).size();
    case PickleKind::tensor: return pickle_.tensors()[v.index].attributes ? 1 : 0;
    case PickleKind::object: {
      const PickleObject& o = pickle_.object(v);
      return o.made_of.size() + o.attributes.size() + o.items.size() + o.pairs.size();
    }
    default: return 0;
  }
}

PickleEdge Bearing::edge(PickleRef ref, std::size_t i) const {
  const PickleValue& v = pickle_.value(ref);
  if (v.kind == PickleKind::dict) return keyed(pickle_.pairs(v)[i]);
  if (v.kind == PickleKind::tensor) return {.to = *pickle_.tensors()[v.index].attributes, .inner = true};
  if (v.kind == PickleKind::object) return object_edge(pickle_.object(v), i);
  return indexed(pickle_.items(v)[i], i);
}

PickleEdge Bearing::object_edge(const PickleObject& object, std::size_t i) const {
  if (i < object.made_of.size()) {
    const PickleRef to = object.made_of[i];
    // What is made of one container has its entries: a set, a Counter.
    if (object.made_of.size() == 1 && is_plain(to)) return {.to = to, .inner = true};
    return indexed(to, i, true);
  }
  i -= object.made_of.size();
  if (i < object.attributes.size()) {
    const PicklePair& attribute = object.attributes[i];
    if (stands_for_its_entries(attribute)) return {.to = attribute.second, .inner = true};
    return keyed(attribute, true);
  }
  i -= object.attributes.size();
  return i < object.items.size() ? indexed(object.items[i], i) : keyed(object.pairs[i - object.items.size()]);
}

/// A module keeps its tensors and children in three dicts, which the names of its state dict leave out.
bool Bearing::stands_for_its_entries(const PicklePair& attribute) const {
  const PickleValue& key = pickle_.value(attribute.first);
  const PickleKind held = pickle_.value(attribute.second).kind;
  return key.kind == PickleKind::text && (held == PickleKind::dict || held == PickleKind::object) &&
         (key.text == "_parameters" || key.text == "_buffers" || key.text == "_modules");
}

std::optional<std::string> Bearing::key_name(PickleRef key) const {
  const PickleValue& v = pickle_.value(key);
  switch (v.kind) {
    case PickleKind::text: return as_name(v.text);
    case PickleKind::integer: return cat(v.integer);
    case PickleKind::boolean: return v.integer != 0 ? "True" : "False";
    case PickleKind::none: return "None";
    case PickleKind::number:
      return v.index == 0 ? std::optional(digits_of(std::bit_cast<double>(v.integer))) : std::nullopt;
    case PickleKind::tuple: break;
    default: return std::nullopt;
  }
  std::string out;
  for (const PickleRef item : pickle_.items(v)) {
    const auto part = pickle_.value(item).kind == PickleKind::tuple ? std::nullopt : key_name(item);
    if (!part || out.size() > limits_.name_bytes) return std::nullopt;
    out += cat(out.empty() ? "(" : ", ", *part);
  }
  return out.empty() ? "()" : out + ")";
}

std::string Bearing::shown(const PickleEdge& edge) const {
  if (edge.name == Name::index) return cat(edge.label);
  const PickleValue& key = pickle_.value(edge.label);
  if (key.kind == PickleKind::text && key.text.size() > limits_.name_bytes) return quote(key.text);
  const auto name = key_name(edge.label);
  if (!name) return cat("(", pickle_.describe(edge.label), ")");
  return *name;
}

std::string Bearing::path_of(const std::vector<Frame>& open) const {
  std::string out;
  for (const Frame& frame : open) {
    const PickleEdge step = edge(frame.ref, frame.next - 1);
    if (step.name != Name::none) out += cat(out.empty() ? "" : ".", shown(step));
  }
  return out;
}

}  // namespace coppice
