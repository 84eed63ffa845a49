#include "coppice/nn/io/fitting_names.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "coppice/engine/error.h"
#include "coppice/nn/masks/names.h"
#include "coppice/nn/name_pattern.h"
#include "coppice/nn/state_dict.h"

namespace coppice::nn {
namespace {

constexpr std::size_t kMostDots = 16;        // parts of a name that may stand before the module's
constexpr std::size_t kMostCandidates = 32;  // that are tried
constexpr std::size_t kMostPatterns = 3;     // beyond, a command would be unreadable

using Shapes = std::map<std::string, Shape, std::less<>>;

/// Names as a module knows them, with their shapes: masks go, and originals stand for what they are originals of.
Shapes as_modules_know(const NamedTensors& tensors) {
  std::map<std::string_view, std::string> originals;
  std::set<std::string_view> masks;
  const std::vector<NamedMask> pairs = masks_in(tensors);
  const std::vector<NamedOriginal> alone = originals_alone(tensors);
  for (const NamedMask& m : pairs)
    if (tensors.at(m.mask).shape() == tensors.at(m.original).shape()) {
      originals.emplace(m.original, m.name);
      masks.insert(m.mask);
    }
  for (const NamedOriginal& o : alone)
    if (!tensors.contains(o.name)) originals.emplace(o.original, o.name);
  Shapes out;
  for (const auto& [name, tensor] : tensors) {
    if (masks.contains(name)) continue;
    const auto found = originals.find(name);
    out.emplace(found == originals.end() ? name : found->second, tensor.shape());
  }
  return out;
}

/// Which tensors a module has.
class Wanted {
 public:
  explicit Wanted(const Module& module) {
    for (const auto& [name, tensor] : all_tensors(module)) {
      shapes_.emplace(name, tensor.shape());
      needed_ += needs(name) ? 1 : 0;
    }
  }
  [[nodiscard]] bool has(std::string_view name) const { return shapes_.contains(name); }
  [[nodiscard]] bool takes(std::string_view name, const Shape& given) const {
    const auto own = shapes_.find(name);
    return own != shapes_.end() && (own->second == given || (own->second.rank() == 0 && given == Shape{1}));
  }
  /// load_state_dict() forgives that this one is missing.
  [[nodiscard]] static bool needs(std::string_view name) { return !name.ends_with("num_batches_tracked"); }
  [[nodiscard]] std::size_t needed() const { return needed_; }
  [[nodiscard]] const Shapes& shapes() const { return shapes_; }

 private:
  Shapes shapes_;
  std::size_t needed_ = 0;
};

/// Texts before names of the module, and how many of the names that it needs stand behind each.
std::map<std::string, std::size_t, std::less<>> beginnings(const Wanted& wanted, const Shapes& given) {
  std::map<std::string, std::size_t, std::less<>> out;
  for (const auto& [name, shape] : given) {
    const std::string_view whole = name;
    std::size_t at = 0;
    for (std::size_t dots = 0; dots <= kMostDots; ++dots) {
      const std::string_view rest = whole.substr(at);
      if (wanted.takes(rest, shape) && Wanted::needs(rest)) ++out[std::string(whole.substr(0, at))];
      const std::size_t dot = whole.find('.', at);
      if (dot == whole.npos) break;
      at = dot + 1;
    }
  }
  return out;
}

/// The shortest way to say that what stands behind `begin` is meant.
Renaming rules_of(const std::string& begin, const NamedTensors& tensors) {
  if (begin.empty()) return {};
  const auto has_it = [&](const std::string& name) { return name.starts_with(begin); };
  const auto name_of = [](const NamedTensors::Entry& entry) -> const std::string& { return entry.first; };
  if (std::ranges::all_of(tensors, has_it, name_of) && std::ranges::all_of(tensors.skipped(), has_it))
    return {.strip = {begin}};
  if (begin.ends_with('.') && begin.find('.') == begin.size() - 1) return {.key = begin.substr(0, begin.size() - 1)};
  return {.prefix = begin};
}

/// Patterns for names that the module has not, and for none that it has; nothing if they would be too many.
std::optional<std::vector<std::string>> patterns_for(const std::vector<std::string>& names, const Wanted& wanted) {
  std::vector<std::string> out;
  for (const std::string& name : names) {
    if (std::ranges::any_of(out, [&](const std::string& p) { return names_tensor(p, name); })) continue;
    const std::size_t dot = name.find('.');
    std::string pattern = dot == name.npos ? name : name.substr(0, dot + 1) + '*';
    const auto meets = [&](const Shapes::value_type& own) { return names_tensor(pattern, own.first); };
    if (std::ranges::any_of(wanted.shapes(), meets)) pattern = name;
    if (std::ranges::any_of(wanted.shapes(), meets) || out.size() == kMostPatterns) return std::nullopt;
    out.push_back(std::move(pattern));
  }
  return out;
}

struct Tried {
  FittingNames names;
  std::size_t beside = 0;  ///< tensors that are left out
};

/// The rules with patterns for what the module has not; nothing if the module then lacks something.
std::optional<Tried> tried(Renaming rules, const Wanted& wanted, const NamedTensors& tensors) {
  Tried out;
  try {
    const NamedTensors taken = renamed(tensors, rules);
    const Shapes given = as_modules_know(taken);
    std::size_t found = 0;
    std::vector<std::string> beyond;
    for (const auto& [name, shape] : given) {
      if (!wanted.has(name))
        beyond.push_back(name);
      else if (!wanted.takes(name, shape))
        return std::nullopt;
      else
        found += Wanted::needs(name) ? 1 : 0;
    }
    if (found != wanted.needed()) return std::nullopt;
    out.beside = tensors.size() - taken.size() + beyond.size();
    if (!beyond.empty()) {
      if (const auto patterns = patterns_for(beyond, wanted)) {
        rules.ignore = *patterns;
        if (as_modules_know(renamed(tensors, rules)).size() != given.size() - beyond.size()) return std::nullopt;
      } else {
        out.names.strict = false;
      }
    }
  } catch (const KeyError&) {  // two tensors of one name
    return std::nullopt;
  }
  out.names.rules = std::move(rules);
  return out;
}

/// Rules that fit, if `given` are the names that `cut` leaves of those of the tensors.
void find_rules(const Wanted& wanted, const NamedTensors& tensors, const NamedTensors& given,
                const std::vector<std::string>& cut, std::vector<Tried>& found) {
  const auto begins = beginnings(wanted, as_modules_know(given));
  const auto plain = begins.find("");
  const std::size_t without = plain == begins.end() ? 0 : plain->second;
  std::vector<Renaming> candidates;
  for (const auto& [begin, count] : begins) {
    if (candidates.size() >= kMostCandidates) break;
    if (count == wanted.needed())
      candidates.push_back(rules_of(begin, given));
    else if (!begin.empty() && count + without == wanted.needed())  // a part of the names has it
      candidates.push_back({.strip = {begin}});
  }
  for (Renaming& rules : candidates) {
    rules.cut = cut;
    if (auto one = tried(std::move(rules), wanted, tensors)) found.push_back(std::move(*one));
  }
}

/// What compilers and wrappers put between the names of modules, as far as it stands there; alone and together.
std::vector<std::vector<std::string>> cuts_for(const NamedTensors& tensors) {
  constexpr std::string_view kWrappers[] = {"_orig_mod.", "module.", "_fsdp_wrapped_module.",
                                            "_checkpoint_wrapped_module."};
  std::vector<std::vector<std::string>> out;
  std::vector<std::string> all;
  for (const std::string_view wrapper : kWrappers) {
    const auto has_it = [&](const NamedTensors::Entry& entry) {
      return entry.first.find('.' + std::string(wrapper)) != std::string::npos;
    };
    if (std::ranges::none_of(tensors, has_it)) continue;
    all.emplace_back(wrapper);
    out.push_back({all.back()});
  }
  if (all.size() > 1) out.push_back(all);
  return out;
}

}  // namespace

std::vector<FittingNames> fitting_names(const Module& module, const NamedTensors& tensors, std::size_t most) {
  const Wanted wanted(module);
  if (wanted.needed() == 0) return {};
  std::vector<Tried> found;
  find_rules(wanted, tensors, tensors, {}, found);
  if (found.empty())
    for (const std::vector<std::string>& cut : cuts_for(tensors)) {
      try {
        find_rules(wanted, tensors, renamed(tensors, {.cut = cut}), cut, found);
      } catch (const KeyError&) {  // two tensors of one name
      }
    }
  std::ranges::stable_sort(found, {}, &Tried::beside);
  std::vector<FittingNames> out;
  for (std::size_t i = 0; i < std::min(most, found.size()); ++i) out.push_back(std::move(found[i].names));
  return out;
}

}  // namespace coppice::nn
