#include "coppice/sparsity/data/data_norm_sparsifier.h"

#include "coppice/engine/checked.h"
#include "norm_mask.h"

namespace coppice::sparsity {
namespace {

Arguments defaults_of(const DataNormOptions& options) {
  Arguments out;
  out.set("sparsity_level", options.sparsity_level);
  out.set("sparse_block_shape",
          std::vector<std::int64_t>(options.sparse_block_shape.begin(), options.sparse_block_shape.end()));
  out.set("zeros_per_block", options.zeros_per_block ? Argument(*options.zeros_per_block) : Argument());
  return out;
}

bool is_norm(const std::string& norm) { return norm == "L1" || norm == "L2"; }

/// A whole number that may be written as a real one, as PyTorch takes 4.0. @throws TypeError
std::int64_t whole(const Arguments& config, const char* key) {
  const Argument* value = config.find(key);
  if (const auto* real = value == nullptr ? nullptr : std::get_if<double>(value); real != nullptr) {
    constexpr double kBeyond = 9.2e18;
    if (*real > -kBeyond && *real < kBeyond && static_cast<double>(static_cast<std::int64_t>(*real)) == *real)
      return static_cast<std::int64_t>(*real);
  }
  return config.integer(key);
}

NormMaskRequest request_of(const Arguments& config, const std::string& norm, bool compat, const std::string& what) {
  const std::vector<std::int64_t> block = config.integers("sparse_block_shape");
  if (block.size() != 2)
    throw ValueError(cat("[DataNormSparsifier] sparse_block_shape of ", what, " must be two numbers; got ",
                         to_string(Argument(block))));
  NormMaskRequest out;
  out.level = config.number("sparsity_level");
  out.height = block[0];
  out.width = block[1];
  out.zeros = config.has("zeros_per_block") ? whole(config, "zeros_per_block") : 0;
  out.norm = norm == "L1" ? BlockNorm::l1 : BlockNorm::l2;
  out.compat = compat;
  return out;
}

}  // namespace

DataNormSparsifier::DataNormSparsifier(const DataList& data_list, const DataNormOptions& options)
    : BaseDataSparsifier(defaults_of(options)), norm_(options.norm), compat_(options.compat) {
  if (!is_norm(norm_)) throw ValueError(cat("[DataNormSparsifier] norm must be 'L1' or 'L2'; got ", quote(norm_)));
  add_all(data_list);
}

std::unique_ptr<BaseDataSparsifier> DataNormSparsifier::clone() const {
  return std::make_unique<DataNormSparsifier>(*this);
}

void DataNormSparsifier::update_mask(const std::string& name, const Tensor& data, const Arguments& config) {
  const std::string what = quote(name);
  get_mask(name).replace_(norm_mask(data, request_of(config, norm_, compat_, what), what));
}

void DataNormSparsifier::check(const std::string& name, const Tensor& data, const Arguments& config) const {
  const std::string what = quote(name);
  check_norm_mask(data, request_of(config, norm_, compat_, what), what);
}

Arguments DataNormSparsifier::resolved(const Arguments& config) const {
  Arguments out = config;
  if (config.has("zeros_per_block")) return out;
  std::int64_t area = 0;  // of sides that cannot be: check() refuses them
  if (const auto block = config.integers("sparse_block_shape"); block.size() == 2 && block[0] > 0 && block[1] > 0)
    if (const auto cells = checked_mul(static_cast<std::uint64_t>(block[0]), static_cast<std::uint64_t>(block[1])))
      area = static_cast<std::int64_t>(*cells);
  out.set("zeros_per_block", area);
  return out;
}

Arguments DataNormSparsifier::settings() const { return {{"norm", norm_}, {"compat", compat_}}; }

void DataNormSparsifier::load_settings(const Arguments& settings) {
  std::string norm = settings.text("norm", norm_);
  const bool compat = settings.boolean("compat", compat_);
  if (!is_norm(norm)) throw FormatError(cat("[load_state_dict] norm must be 'L1' or 'L2'; got ", quote(norm)));
  norm_ = std::move(norm);
  compat_ = compat;
}

}  // namespace coppice::sparsity
