#include "coppice/nn/io/renaming.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "coppice/engine/checked.h"
#include "coppice/engine/error.h"
#include "coppice/nn/name_pattern.h"

namespace coppice::nn {
namespace {

/// The beginnings of names up to their first dot, for a message.
std::string beginnings(const NamedTensors& tensors) {
  constexpr std::size_t kShown = 20;
  std::vector<std::string> seen;
  for (const auto& [name, tensor] : tensors) {
    const std::size_t dot = name.find('.');
    std::string first = dot == name.npos ? name : name.substr(0, dot + 1);
    if (std::ranges::find(seen, first) != seen.end()) continue;
    if (seen.size() == kShown) {
      seen.emplace_back();
      break;
    }
    seen.push_back(std::move(first));
  }
  std::string out;
  for (const std::string& first : seen) out += cat(out.empty() ? "" : ", ", first.empty() ? "…" : quote(first));
  return out;
}

/// The rules, and which of them met a name.
class Rules {
 public:
  explicit Rules(const Renaming& rules)
      : rules_(rules),
        key_(rules.key.empty() ? "" : rules.key + '.'),
        stripped_(rules.strip.size()),
        cut_(rules.cut.size()),
        ignored_(rules.ignore.size()) {}

  /// The new name; nothing for what is left out.
  std::optional<std::string> of(const std::string& name) {
    std::string_view rest = name;
    if (!cut(rest, key_)) return std::nullopt;
    below_key_ = true;
    if (!cut(rest, rules_.prefix)) return std::nullopt;
    below_prefix_ = true;
    for (std::size_t i = 0; i < rules_.strip.size(); ++i)
      if (cut(rest, rules_.strip[i])) stripped_[i] = true;
    std::string shortened;
    for (std::size_t i = 0; i < rules_.cut.size(); ++i) {
      std::string without = cut_each(rest, rules_.cut[i]);
      if (without.size() == rest.size()) continue;
      cut_[i] = true;
      shortened = std::move(without);
      rest = shortened;
    }
    bool left = rest.empty();
    for (std::size_t i = 0; i < rules_.ignore.size(); ++i)
      if (names_tensor(rules_.ignore[i], name) || names_tensor(rules_.ignore[i], rest)) left = ignored_[i] = true;
    if (left) return std::nullopt;
    return std::string(rest);
  }

  /// @throws KeyError
  void check_met(const NamedTensors& tensors) const {
    const auto fail = [&](const auto&... what) {
      throw KeyError(cat("[renamed] ", what..., "; the names begin with ", beginnings(tensors)));
    };
    if (!below_key_) fail("no tensor stands below the key ", quote(rules_.key));
    if (!below_prefix_) fail("no name begins with the prefix ", quote(rules_.prefix));
    for (std::size_t i = 0; i < stripped_.size(); ++i)
      if (!stripped_[i]) fail("no name begins with ", quote(rules_.strip[i]), ", which is to be stripped");
    for (std::size_t i = 0; i < cut_.size(); ++i)
      if (!cut_[i]) fail("no part of a name begins with ", quote(rules_.cut[i]), ", which is to be cut out");
    for (std::size_t i = 0; i < ignored_.size(); ++i)
      if (!ignored_[i]) fail("the pattern ", quote(rules_.ignore[i]), " matches no tensor");
  }

 private:
  static bool cut(std::string_view& rest, std::string_view begin) {
    if (!rest.starts_with(begin)) return false;
    rest.remove_prefix(begin.size());
    return true;
  }

  /// `name` without the text at its beginning and behind dots.
  static std::string cut_each(std::string_view name, std::string_view text) {
    std::string out;
    for (bool begins = true; !name.empty();) {
      if (begins && !text.empty() && cut(name, text)) continue;
      begins = name.front() == '.';
      out += name.front();
      name.remove_prefix(1);
    }
    return out;
  }

  const Renaming& rules_;
  const std::string key_;
  bool below_key_ = false, below_prefix_ = false;
  std::vector<bool> stripped_, cut_, ignored_;
};

}  // namespace

NamedTensors renamed(const NamedTensors& tensors, const Renaming& given) {
  if (given == Renaming{}) return tensors;
  Rules rules(given);
  NamedTensors out;
  out.metadata() = tensors.metadata();
  out.skipped() = tensors.skipped();
  out.compared() = tensors.compared();
  for (const auto& [name, tensor] : tensors) {
    std::optional<std::string> now = rules.of(name);
    if (!now)
      out.skipped().push_back(name);
    else if (out.contains(*now))
      throw KeyError(cat("[renamed] two tensors would be ", quote(*now), "; one of them is ", quote(name)));
    else
      out.add(std::move(*now), tensor);
  }
  rules.check_met(tensors);
  return out;
}

}  // namespace coppice::nn
