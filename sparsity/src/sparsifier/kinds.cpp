#include "coppice/sparsity/sparsifier/kinds.h"

#include <algorithm>

#include "coppice/engine/checked.h"
#include "coppice/engine/create.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/sparsity/data/data_norm_sparsifier.h"
#include "coppice/sparsity/sparsifier/nearly_diagonal.h"
#include "coppice/sparsity/sparsifier/nm.h"
#include "coppice/sparsity/sparsifier/weight_norm.h"
#include "sparsifier/weight_norm_mask.h"

namespace coppice::sparsity {
namespace {

constexpr const char* kTensor = "tensor";

/// Copies of `sparsifier` that each decide about one tensor.
template <std::derived_from<BaseSparsifier> Sparsifier>
MaskMaker masks_of(const Sparsifier& sparsifier) {
  return [sparsifier](const Tensor& values) {
    const auto holder = std::make_shared<nn::Identity>();
    holder->register_parameter(kTensor, values.detach());
    Sparsifier own = sparsifier;
    try {
      own.prepare(holder, {{{"tensor_fqn", std::string(kTensor)}}});
      own.step();
    } catch (Error& e) {
      e.set_place("");  // the tensor has another name where it comes from
      throw;
    }
    return own.groups().front().mask();
  };
}

/// 1 or 2 of "l1" or "l2". @throws ValueError
int norm_of(const Arguments& settings) {
  const std::string norm = settings.text("norm");
  if (norm != "l1" && norm != "l2") throw ValueError(cat("[sparsifier] norm must be 'l1' or 'l2'; got ", quote(norm)));
  return norm == "l1" ? 1 : 2;
}

MaskMaker weight_norm(const Arguments& settings, TieRule ties) {
  const int order = norm_of(settings);
  (void)WeightNormSparsifier(read_sparsity_level(settings), read_sparse_block_shape(settings),
                             settings.integer("zeros_per_block"), order, ties);  // which checks the settings
  return [settings = settings.clone(), order, ties](const Tensor& values) {
    return weight_norm_mask(values, settings, order, ties);
  };
}

MaskMaker nearly_diagonal(const Arguments& settings, TieRule) {
  return masks_of(NearlyDiagonalSparsifier(settings.integer("nearliness")));
}

MaskMaker nm(const Arguments& settings, TieRule ties) {
  return masks_of(NmSparsifier(Pattern::parse(settings.text("pattern")), ties));
}

MaskMaker data_norm(const Arguments& settings, TieRule) {
  const Block block = read_sparse_block_shape(settings);
  DataNormOptions options{.sparsity_level = read_sparsity_level(settings),
                          .sparse_block_shape = {block.rows, block.cols},
                          .zeros_per_block = settings.integer("zeros_per_block"),
                          .norm = norm_of(settings) == 1 ? "L1" : "L2"};
  (void)DataNormSparsifier({{kTensor, Tensor::of({0.0, 0.0})}}, options);  // which checks the zeros
  return [options](const Tensor& values) {
    const Shape& shape = values.shape();
    if (values.numel() == 0) return ones(shape, Dtype::i8);
    Tensor view = values.detach();
    if (shape.rank() > 2) view = view.reshape({shape[0], values.numel() / shape[0]});
    DataNormSparsifier own({{kTensor, view}}, options);
    own.step();
    return own.get_mask(kTensor).reshape(shape);
  };
}

}  // namespace

const std::vector<SparsifierKind>& sparsifier_kinds() {
  static const std::vector<std::int64_t> four{1, 4};
  static const std::vector<SparsifierKind> kinds{
      {"weight_norm",
       {{"sparsity_level", 0.5}, {"sparse_block_shape", four}, {"zeros_per_block", {}}, {"norm", "l2"}},
       true,
       weight_norm},
      {"nearly_diagonal", {{"nearliness", std::int64_t{1}}}, false, nearly_diagonal},
      {"data_norm",
       {{"sparsity_level", 0.5}, {"sparse_block_shape", four}, {"zeros_per_block", {}}, {"norm", "l1"}},
       false,
       data_norm},
      {"nm", {{"pattern", "2:4"}}, true, nm},
  };
  return kinds;
}

const SparsifierKind& sparsifier_kind(std::string_view name) {
  const std::vector<SparsifierKind>& all = sparsifier_kinds();
  const auto found = std::ranges::find(all, name, &SparsifierKind::name);
  if (found != all.end()) return *found;
  std::string names;
  for (const SparsifierKind& kind : all) names += cat(names.empty() ? "" : ", ", kind.name);
  throw KeyError(cat("[sparsifier_kind] no sparsifier ", quote(name), "; there are ", names));
}

Arguments settings_of(const SparsifierKind& kind, const Arguments& set) {
  Arguments out = kind.defaults;
  const auto known = [&](const std::string& key) {
    return std::ranges::any_of(kind.defaults, [&](const Arguments::Entry& entry) { return entry.first == key; });
  };
  for (const auto& [key, value] : set) {
    if (!known(key)) throw KeyError(cat("[settings_of] ", kind.name, " has no setting ", quote(key)));
    out.set(key, value);
  }
  if (known("zeros_per_block") && !out.has("zeros_per_block"))
    out.set("zeros_per_block", read_sparse_block_shape(out).size());
  (void)kind.make(out, TieRule::lowest_index);
  return out;
}

}  // namespace coppice::sparsity
