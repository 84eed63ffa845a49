#include "prune/sparsifiers.h"

#include <charconv>

#include "app.h"
#include "coppice/engine/error.h"
#include "coppice/nn/bits.h"
#include "coppice/sparsity/prune/by_sparsifier.h"
#include "coppice/sparsity/prune/prune.h"
#include "coppice/sparsity/sparsifier/config.h"
#include "coppice/sparsity/sparsifier/kinds.h"
#include "coppice/sparsity/sparsifier/nm.h"

namespace coppice::cli {
namespace {

using sparsity::Prunable, sparsity::SparsifierKind;

/// A setting of sparsifiers as an option.
struct Setting {
  const char *option, *key, *help;
  CLI::Validator form;
  Argument (*read)(const std::string& text);  ///< @throws ValueError
};

template <class Number>
Argument number(const std::string& text) {
  Number out{};
  std::from_chars(text.data(), text.data() + text.size(), out);  // its form was checked
  return out;
}

Argument text(const std::string& text) { return text; }

Argument block(const std::string& text) {
  const sparsity::Block block = sparsity::Block::parse(text);
  return std::vector<std::int64_t>{block.rows, block.cols};
}

Argument pattern(const std::string& text) { return to_string(sparsity::Pattern::parse(text)); }

const std::vector<Setting>& settings_table() {
  static const std::vector<Setting> table{
      {"--sparsity-level", "sparsity_level", "Share of the blocks that are pruned (0.5)", finite(0, 1), number<double>},
      {"--block", "sparse_block_shape", "Rows x columns of a block, over outputs and inputs: 16x1 (1x4)",
       CLI::Validator("RxC"), block},
      {"--zeros-per-block", "zeros_per_block", "How many entries of a pruned block go (all)", whole(0, INT64_MAX),
       number<std::int64_t>},
      {"--norm", "norm", "What ranks: l1, the mean of |w|, or l2, that of w * w (weight_norm: l2, data_norm: l1)",
       CLI::IsMember({"l1", "l2"}), text},
      {"--nearliness", "nearliness", "Odd width of the band about the diagonal that stays (1)", whole(1, INT64_MAX),
       number<std::int64_t>},
      {"--pattern", "pattern", "N:M, of every M neighbours of a row N stay (2:4)", CLI::Validator("N:M"), pattern},
  };
  return table;
}

/// "a, b and c", of the rows that `fits`.
template <class F>
std::string names_of_kinds(F fits) {
  std::vector<std::string> names;
  for (const SparsifierKind& kind : sparsity::sparsifier_kinds())
    if (fits(kind)) names.push_back(kind.name);
  std::string out;
  for (std::size_t i = 0; i < names.size(); ++i)
    out += cat(i == 0 ? "" : i + 1 == names.size() ? " and " : ", ", names[i]);
  return out;
}

bool has_setting(const SparsifierKind& kind, const std::string& key) {
  for (const auto& [name, value] : kind.defaults)
    if (name == key) return true;
  return false;
}

Json json_of(const Argument& value) {
  if (const auto* real = std::get_if<double>(&value)) return *real;
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return *integer;
  if (const auto* list = std::get_if<std::vector<std::int64_t>>(&value)) return *list;
  return std::get<std::string>(value);
}

}  // namespace

void SparsifierOptions::add_options(CLI::App* sub) {
  sub->add_option("--sparsifier", name_, "How to choose, instead of --method: blocks of least norm, a band, or N of M")
      ->check(CLI::Validator(
          [](std::string& name) -> std::string {
            for (const SparsifierKind& kind : sparsity::sparsifier_kinds())
              if (kind.name == name) return {};
            return cat(name, " is not one of ", names_of_kinds([](const SparsifierKind&) { return true; }));
          },
          cat("{", names_of_kinds([](const SparsifierKind&) { return true; }), "}")));
  const std::vector<Setting>& table = settings_table();
  texts_.resize(table.size());
  for (std::size_t i = 0; i < table.size(); ++i) {
    const Setting& setting = table[i];
    const std::string whose =
        names_of_kinds([&](const SparsifierKind& kind) { return has_setting(kind, setting.key); });
    options_.push_back(
        sub->add_option(setting.option, texts_[i], cat(whose, ": ", setting.help))->transform(setting.form));
  }
}

void SparsifierOptions::check(const CLI::Option& ties) const {
  const SparsifierKind* kind = given() ? &sparsity::sparsifier_kind(name_) : nullptr;
  for (std::size_t i = 0; i < options_.size(); ++i) {
    const std::string key = settings_table()[i].key;
    if (kind == nullptr || !has_setting(*kind, key))
      only_with(*options_[i],
                cat("--sparsifier ", names_of_kinds([&](const SparsifierKind& k) { return has_setting(k, key); })));
  }
  if (kind == nullptr) return;
  if (!kind->has_ties && ties.as<std::string>() != "lowest")  // which is what they do
    throw UsageError(cat("--ties pytorch has an effect with --method and --sparsifier ",
                         names_of_kinds([](const SparsifierKind& k) { return k.has_ties; }), " only"));
  (void)settings();
}

Arguments SparsifierOptions::settings() const {
  Arguments set;
  for (std::size_t i = 0; i < options_.size(); ++i) {
    const Setting& setting = settings_table()[i];
    if (options_[i]->count() == 0) continue;
    try {
      set.set(setting.key, setting.read(texts_[i]));
    } catch (const ValueError& e) {
      throw UsageError(cat(setting.option, ": ", e.what()));
    }
  }
  try {
    return sparsity::settings_of(sparsity::sparsifier_kind(name_), set);
  } catch (const ValueError& e) {
    throw UsageError(cat("--sparsifier ", name_, ": ", e.what()));
  }
}

std::vector<Left> SparsifierOptions::prune(const std::vector<Prunable>& targets, TieRule ties, bool leave,
                                           const Outcome& done) const {
  const sparsity::prune::BySparsifier method(name_, settings(), ties);
  std::vector<Left> left;
  sparsity::for_each(targets, [&](const Prunable& t) {
    try {
      if (done.takes_bits(t)) {
        done.bits(t, nn::pack_bits(method.first_mask(t.value(), Dtype::boolean)));
      } else {
        sparsity::prune::apply(*t.module, t.slot, method);
        done.masked(t);
      }
    } catch (const ValueError& e) {
      if (!leave || left.size() + 1 == targets.size()) throw;
      left.push_back({t.name, e.what()});
    }
  });
  return left;
}

MethodMemory SparsifierOptions::memory(TieRule ties) const {
  // Scores of blocks; of the others the weight as a mask shows it, and values as they rank.
  const std::uint64_t scores = name_ == "weight_norm" ? 12 : 20;
  constexpr std::uint64_t kSorted = 40;  // what TieRule::pytorch sorts, with cells of blocks beyond the edges
  return {.way = MethodMemory::Way::single, .per_entry = scores + (ties == TieRule::pytorch ? kSorted : 0)};
}

Json SparsifierOptions::described() const {
  Json settings = Json::object();
  for (const auto& [key, value] : this->settings()) settings[key] = json_of(value);
  return {{"sparsifier", name_}, {"settings", std::move(settings)}};
}

}  // namespace coppice::cli
