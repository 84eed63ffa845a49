#include "coppice/engine/nearest.h"

#include <algorithm>
#include <vector>

namespace coppice {

std::size_t edit_distance(std::string_view a, std::string_view b, std::size_t most) {
  const std::size_t difference = a.size() > b.size() ? a.size() - b.size() : b.size() - a.size();
  if (difference > most) return most + 1;
  // Rows of the table of distances between beginnings of the names: the one that is filled and the two before it.
  std::vector<std::size_t> now(b.size() + 1), last(b.size() + 1), before(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    now[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = a[i - 1] == b[j - 1];
      now[j] = std::min({last[j] + 1, now[j - 1] + 1, last[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) now[j] = std::min(now[j], before[j - 2] + 1);
    }
    before.swap(last);
    last.swap(now);
  }
  return std::min(last[b.size()], most + 1);
}

std::string_view nearest_name(std::string_view name, std::span<const std::string_view> candidates,
                              std::size_t letters) {
  constexpr std::size_t kShortestPart = 3;
  constexpr std::size_t kLongest = 64;  // a file may bring thousands of names of any length
  std::string_view nearest;
  std::size_t least = kLongest;
  if (name.size() > kLongest) return nearest;
  for (const std::string_view candidate : candidates) {
    if (candidate.size() > kLongest) continue;
    const std::size_t most = std::max(name.size(), candidate.size()) / letters;
    const std::size_t distance = edit_distance(name, candidate, most);
    if (distance <= most && distance < least) {
      least = distance;
      nearest = candidate;
    }
  }
  if (!nearest.empty()) return nearest;
  const auto holds = [](std::string_view whole, std::string_view part) {
    return part.size() >= kShortestPart && whole.find(part) != whole.npos;
  };
  for (const std::string_view candidate : candidates)
    if (candidate.size() <= kLongest && (holds(candidate, name) || holds(name, candidate))) return candidate;
  return nearest;
}

}  // namespace coppice
