#include "prune/memory.h"

#include <algorithm>
#include <filesystem>

#include "app/memory.h"
#include "coppice/engine/checked.h"
#include "coppice/engine/io/mapped_file.h"
#include "coppice/engine/io/safetensors.h"
#include "coppice/engine/parallel.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/masks/masked.h"
#include "coppice/sparsity/pack/sparse_members.h"
#include "tensors.h"

namespace coppice::cli {
namespace {

using sparsity::Prunable;

constexpr std::uint64_t kMega = std::uint64_t{1} << 20;
constexpr std::uint64_t kSmallestWindow = kMega;
constexpr std::uint64_t kSlack = 16 * kMega, kSlackOfThread = 4 * kMega;
constexpr std::uint64_t kPerTensor = 4096, kPerNameByte = 16;  // in plans, headers and reports
constexpr std::uint64_t kPool = 64 * kMega;                    // of freed blocks, which the engine keeps
constexpr std::uint64_t kWholePerEntry = 40, kWholePerFileEntry = 24;

[[noreturn]] void refuse(std::uint64_t limit, std::uint64_t needed, const std::string& what) {
  throw LimitError(cat("[prune] --memory-limit: ", what, " needs ", needed, " bytes; the limit is ", limit));
}

/// What reading a file holds, beyond Limits::extra_bytes: a checkpoint of safetensors is mapped and touched where it is
/// wanted only; of others all may be mapped and copied.
std::uint64_t held_by_reading(const App& app, const std::string& file) {
  const std::uint64_t all = 2 * file_size(file);
  if (std::filesystem::path(file).extension() != ".safetensors") return all;
  const SafetensorsHeader header = read_safetensors_header(file, app.read);
  if (header.metadata.contains(nn::kModelKey) || header.metadata.contains(sparsity::kSparseMembersKey)) return all;
  std::uint64_t copied = 0;  // what stands where its type cannot
  for (const SafetensorsEntry& entry : header.entries) {
    if (entry.dtype && entry.begin % itemsize(*entry.dtype) != 0) copied += entry.end - entry.begin;
    if (!entry.dtype && app.read.widen_f8) copied += (entry.end - entry.begin) * sizeof(float);
  }
  return copied;
}

std::uint64_t entries_of(const Prunable& p) { return static_cast<std::uint64_t>(p.value().numel()); }

}  // namespace

void MemoryLimit::add_options(CLI::App* sub) {
  sub->add_option("--memory-limit", limit_,
                  "Most bytes that the program may have in memory, pages of mapped files included: kept, or refused "
                  "before anything is pruned")
      ->transform(whole(1, UINT64_MAX));
}

void MemoryLimit::before_reading(App& app, const std::string& input) {
  if (!limit_) return;
  std::uint64_t needed = resident_memory() + kSlack;
  for (const std::string& file : files_behind(app, input)) needed += held_by_reading(app, file);
  if (needed > *limit_) refuse(*limit_, needed, cat("reading ", quote_path(input)));
  app.read.limits.extra_bytes = std::min(app.read.limits.extra_bytes, *limit_ - needed);
}

std::uint64_t MemoryLimit::needed(const Prunables& input, const std::vector<Prunable>& targets,
                                  const MethodMemory& method, bool in_pieces) const {
  std::uint64_t out = resident_memory() + kSlack + kSlackOfThread * static_cast<std::uint64_t>(num_threads());
  for (const Prunable& p : input.all()) out += kPerTensor + kPerNameByte * p.name.size();
  const bool bits =
      in_pieces && std::ranges::all_of(targets, [&](const Prunable& p) { return input.takes_bits(p); }) &&
      std::ranges::none_of(input.all(), [](const Prunable& p) { return nn::is_masked(*p.module, p.slot); });
  if (!bits || method.way == MethodMemory::Way::whole) {
    for (const Prunable& p : targets) out += kWholePerEntry * entries_of(p);
    for (const Prunable& p : input.all()) out += kWholePerFileEntry * entries_of(p);
    return out;
  }
  std::uint64_t sum = 0, most = 0, work = 0, freed = 0;
  for (const Prunable& p : targets) {
    const std::uint64_t n = entries_of(p), own = n * (1 + method.per_entry);
    out += n / 8 + 1;
    sum += n, most = std::max(most, n), freed += own;
    work = std::max(work, n * itemsize(p.value().dtype()) + own);
  }
  if (method.way == MethodMemory::Way::single) return out + work + std::min(freed, kPool);
  return out + window_ + (method.together ? sum : most) / 2;
}

void MemoryLimit::plan(const Prunables& input, const std::vector<Prunable>& targets, const MethodMemory& method,
                       bool in_pieces) {
  if (!limit_) return;
  for (const Prunable& p : input.all())
    if (!nn::is_masked(*p.module, p.slot)) forget_pages({p.value().bytes(), p.value().nbytes()});
  std::uint64_t least = needed(input, targets, method, in_pieces);
  const auto fits = [&] {
    least = std::min(least, needed(input, targets, method, in_pieces));
    return least <= *limit_;
  };
  while (!fits() && window_ > kSmallestWindow) window_ /= 2;
  while (!fits() && num_threads() > 1) set_num_threads(num_threads() - 1);
  if (!fits()) refuse(*limit_, least, "this");
  planned_ = least;
}

Json MemoryLimit::described() const {
  Json out{{"limit", nullptr}, {"planned", nullptr}, {"peak", peak_memory()}};
  if (limit_) out["limit"] = *limit_;
  if (planned_) out["planned"] = *planned_;
  return out;
}

std::string MemoryLimit::text() const {
  const auto shown = [](std::uint64_t bytes) { return grouped(static_cast<std::int64_t>(bytes)); };
  return cat("peak memory: ", shown(peak_memory()), " bytes; planned ", shown(planned_.value_or(0)), ", limit ",
             shown(limit_.value_or(0)));
}

}  // namespace coppice::cli
