#include "coppice/sparsity/sparsifier/config.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <set>

#include "coppice/engine/checked.h"
#include "coppice/nn/fqn.h"

namespace coppice::sparsity {
namespace {

const Block& checked(const char* op, const Block& block) {
  if (block.rows < 1 || block.cols < 1)
    throw ValueError(cat("[", op, "] the sides of a block must be at least 1; got ", block));
  if (block.rows > INT64_MAX / 4 / block.cols)
    throw ValueError(cat("[", op, "] a block has too many elements: ", block));
  return block;
}

}  // namespace

SparsifierConfig make_config_from_model(const nn::Module& model, const std::vector<std::string>& supported) {
  std::map<const nn::Module*, std::string> paths;  // the first one of each
  for (const auto& [path, module] : model.named_modules()) paths.emplace(module, path);
  SparsifierConfig out;
  std::set<const nn::Module*> seen{&model};
  std::vector<const nn::Module*> left{&model};
  while (!left.empty()) {
    const nn::Module* const module = left.back();
    left.pop_back();
    for (const auto& [name, child] : module->children()) {
      if (!seen.insert(child.get()).second) continue;
      if (std::ranges::find(supported, child->type_name()) != supported.end())
        out.push_back({{"tensor_fqn", nn::joined(paths.at(child.get()), "weight")}});
      else
        left.push_back(child.get());
    }
  }
  return out;
}

Block Block::parse(std::string_view text) {
  Block out;
  const char* const end = text.data() + text.size();
  const auto rows = std::from_chars(text.data(), end, out.rows);
  const bool cross = rows.ec == std::errc() && rows.ptr != end && *rows.ptr == 'x';
  const auto cols = std::from_chars(cross ? rows.ptr + 1 : end, end, out.cols);
  if (!cross || cols.ec != std::errc() || cols.ptr != end)
    throw ValueError(cat("[Block] a block is rows and columns, as '16x1'; got ", quote(text)));
  return checked("Block", out);
}

std::string to_string(const Block& block) { return cat(block.rows, "x", block.cols); }

double read_sparsity_level(const Arguments& config) {
  const double level = config.number("sparsity_level");
  if (std::isnan(level)) throw ValueError("[sparsifier] sparsity_level must be a number; got NaN");
  return level;
}

Block read_sparse_block_shape(const Arguments& config) {
  const std::vector<std::int64_t> sides = config.integers("sparse_block_shape");
  if (sides.size() != 2)
    throw ValueError(cat("[sparsifier] sparse_block_shape must be rows and columns; got ", sides.size(), " numbers"));
  return checked("sparsifier", {sides[0], sides[1]});
}

}  // namespace coppice::sparsity
