/// Every hostile state: refused with its category and words, within two seconds and 512 MB.

#include "hostile/states.h"
#include "coppice/engine/parallel.h"
#include "coppice/sparsity/state_file.h"
#include "engine/io/io_support.h"
#include "hostile/cases.h"
#include "hostile/child.h"

using namespace coppice;
using namespace coppice::test;

TEST_SUITE("hostile/states") {
  TEST_CASE("each state is refused, or taken, in a process of two seconds and 512 MB") {
    const int threads = num_threads();
    set_num_threads(1);  // a child must not be forked beside others
    const TempDir dir;
    const std::filesystem::path path = dir / "state.safetensors";
    std::size_t count = 0;
    for (const Hostile& state : state_cases()) {
      const std::string& what = state.what;
      CAPTURE(what);
      spill(path, state.bytes);
      const ChildResult child = in_child(
          [&] {
            return outcome([&] {
              use_state(sparsity::load_arguments(path));
              return 0;
            });
          },
          2, std::uint64_t{1} << 34);
      CAPTURE(child.said);
      CHECK(child.signal == 0);
      CHECK(child.said.starts_with(state.category));
      CHECK(child.said.find(state.fragment) != child.said.npos);
      if (!sanitized()) CHECK(child.grown_kb < 512 * 1024);
      ++count;
    }
    CHECK(count > 50);
    set_num_threads(threads);
  }
}
