// The map against a plain list, at sizes where it is walked and where it is bisected.
#include "coppice/engine/ordered_map.h"

#include <doctest/doctest.h>

#include <chrono>
#include <random>

using coppice::OrderedMap;

namespace {

using Map = OrderedMap<int>;
using List = std::vector<std::pair<std::string, int>>;

/// Whether order, values and every way of looking a name up agree.
bool agree(const Map& map, const List& list, int names) {
  if (!std::ranges::equal(map, list)) return false;
  for (int i = 0; i < names; ++i) {
    const std::string name = "n" + std::to_string(i);
    const auto at = static_cast<std::size_t>(std::ranges::find(list, name, &List::value_type::first) - list.begin());
    if (map.index_of(name) != at || map.contains(name) != (at < list.size())) return false;
    const int* value = map.find(name);
    if ((value == nullptr) != (at == list.size()) || (value != nullptr && *value != list[at].second)) return false;
  }
  return true;
}

}  // namespace

TEST_SUITE("engine/ordered_map") {
  TEST_CASE("any sequence of changes gives what a list would") {
    std::mt19937 random(0);
    const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
    for (const int names : {6, 20, 60}) {
      CAPTURE(names);
      Map map;
      List list;
      bool right = true;
      for (int step = 0; step < 3000 && right; ++step) {
        const std::string name = "n" + std::to_string(random() % static_cast<unsigned>(names));
        const auto it = std::ranges::find(list, name, &List::value_type::first);
        const bool there = it != list.end();
        switch (below(step / 500 % 2 == 0 ? 5 : 8)) {  // now growing, now shrinking
          case 0:
          case 1:
            map.set(name, step);
            if (there)
              it->second = step;
            else
              list.emplace_back(name, step);
            break;
          case 2: {
            if (there) break;
            const std::size_t at = below(list.size() + 3);
            map.insert(at, name, step);
            list.insert(list.begin() + static_cast<std::ptrdiff_t>(std::min(at, list.size())), {name, step});
            break;
          }
          case 3: {
            if (list.empty()) break;
            const std::string from = there ? name : list[below(list.size())].first;
            const std::size_t at = below(list.size() + 3);
            const auto old = std::ranges::find(list, from, &List::value_type::first);
            const std::pair<std::string, int> entry{there ? from : name, old->second};
            map.rename(from, entry.first, at);
            list.erase(old);
            list.insert(list.begin() + static_cast<std::ptrdiff_t>(std::min(at, list.size())), entry);
            break;
          }
          case 4: {
            std::vector<std::string> last;
            for (const auto& entry : list)
              if (below(2) == 0) last.push_back(entry.first);
            std::ranges::shuffle(last, random);
            map.move_last(last);
            List moved;
            for (const auto& entry : list)
              if (std::ranges::find(last, entry.first) == last.end()) moved.push_back(entry);
            for (const std::string& n : last) moved.push_back(*std::ranges::find(list, n, &List::value_type::first));
            list = moved;
            break;
          }
          default:
            CHECK(map.erase(name) == there);
            if (there) list.erase(it);
        }
        right = agree(map, list, names);
        if (step % 100 == 0) {
          Map copy = map;
          right = right && agree(copy, list, names);
          map = std::move(copy);
          right = right && agree(map, list, names);
        }
      }
      CHECK(right);
    }
  }

  TEST_CASE("erasing by a name of its own, and clearing") {
    Map map;
    for (int i = 0; i < 40; ++i) map.set("n" + std::to_string(i), i);
    map.erase(map.begin()->first);
    map.rename(map.begin()->first, std::string(map.begin()->first), 50);
    CHECK(map.size() == 39);
    CHECK((map.end() - 1)->first == "n1");
    map.clear();
    CHECK(map.empty());
    CHECK_FALSE(map.contains("n3"));
    map.set("n3", 3);
    CHECK(map.index_of("n3") == 0);
  }

  TEST_CASE("twenty thousand long, almost equal names take moments") {
    const auto begin = std::chrono::steady_clock::now();
    const std::string head(740, 'n');
    Map map;
    for (int i = 0; i < 20'000; ++i) map.set(head + std::to_string(i), i);
    int found = 0;
    for (int i = 0; i < 20'000; ++i) found += *map.find(head + std::to_string(i)) == i ? 1 : 0;
    CHECK(found == 20'000);
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(5));  // a walk took thirty
  }
}
