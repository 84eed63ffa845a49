#pragma once
/// Sparsifiers that tests of their base share.

#include <string>
#include <string_view>
#include <vector>

#include "sparsity/sparsifier/models.h"

namespace coppice::testing {

/// Refuses settings and tensors on demand, and keeps only the first column.
class FirstColumn final : public sparsity::BaseSparsifier {
 public:
  FirstColumn() : BaseSparsifier({{"good", true}}) {}

 private:
  void check_config(const sparsity::Group& group) const override {
    if (!group.config.boolean("good")) throw ValueError("[FirstColumn] bad settings");
  }
  void check_tensor(const sparsity::Group& group) const override {
    if (group.original().size(0) == 10) throw ShapeError("[FirstColumn] ten rows");
  }
  void update_mask(sparsity::Group& group) override {
    group.mask().zero_();
    for (std::int64_t i = 0; i < group.mask().size(0); ++i) group.mask().set_({i, 0}, 1);
  }
};

/// Writes down which groups come and go, and fails for linear2 while `fails`.
class Told final : public sparsity::BaseSparsifier {
 public:
  Names told;
  bool fails = true;

 private:
  void update_mask(sparsity::Group&) override {}
  void on_prepared(sparsity::Group& group) override {
    if (fails && group.module_fqn() == "linear2") throw StateError("[Told] no linear2");
    told.push_back("+" + group.module_fqn());
  }
  void on_squashed(sparsity::Group& group) override { told.push_back("-" + group.module_fqn()); }
};

/// The modules that have a parametrization.
inline std::vector<std::string> masked(const nn::Module& model) {
  std::vector<std::string> out;
  for (const auto& [path, module] : model.named_modules())
    if (nn::parametrize::is_parametrized(*module)) out.push_back(path);
  return out;
}

}  // namespace coppice::testing
